# SPDX-License-Identifier: BSD-2-Clause
#
# A scripted FastCGI application: a forked process that listens before the
# test goes on, and runs a callback for each request or each connection, in
# a process of its own.  The callback may send any bytes at any time.  What
# happened is written down; the test reads it with events().
#
#   my $app = FCNG::App->new(request => sub {
#       my ($r) = @_;
#       $r->answer("Content-Type: text/plain\r\n\r\n" . $r->body);
#   });
#   ... $app->address ...
#
# new(listen => 'unix' | 'tcp', host => '127.0.0.1',
#     request => CODE | connection => CODE |
#     multiplex => CODE (FCNG::App::Multiplex),
#     workers => N      N processes that serve one connection after another,
#                       as php-fpm does; default: a process a connection
#     backlog => N, accept => 0 (never), quiet => 1 (no event a request))
#
# Events are hashes with `what`, `at` (time) and `conn`: accept, close (by:
# app or host), request (params, role, flags, id, n), abort, error, and what
# the callback says with note().
package FCNG::App;

use strict;
use warnings;
use FCNG::App::Connection;
use FCNG::App::Multiplex;
use FCNG::Util qw(tmpdir wait_until keep_fd forget_fd close_kept slurp
    spew);
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use POSIX ();
use Socket qw(SOMAXCONN SOCK_STREAM);
use Storable ();
use Time::HiRes qw(time);

sub new {
    my ($class, %how) = @_;
    my $self = bless { listen => 'unix', backlog => SOMAXCONN, %how,
        owner => $$ }, $class;
    $self->{dir} = tmpdir();
    mkdir "$self->{dir}/gates";
    $self->{file} = "$self->{dir}/events";
    spew($self->{file}, '');
    $self->start;
    return $self;
}

sub address { $_[0]{address} }
sub path { "$_[0]{dir}/app.sock" }

# A listening socket that any user may connect to.
sub listener {
    my ($self) = @_;
    my $socket;
    if ($self->{listen} eq 'unix') {
        my $path = $self->path;
        unlink $path;
        # Nobody finds it before others may connect.
        my $mask = umask(0777 & ~($self->{mode} // 0777));
        $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path,
            Listen => $self->{backlog}) or die "$path: $!\n";
        umask $mask;
        chmod $self->{mode} // 0777, $path;
        $self->{address} = "unix:$path";
    }
    else {
        my $host = $self->{host} // '127.0.0.1';
        $self->{port} ||= FCNG::Util::free_port();
        $socket = IO::Socket::INET->new(LocalAddr => $host,
            LocalPort => $self->{port}, Proto => 'tcp', ReuseAddr => 1,
            Listen => $self->{backlog}) or die "port $self->{port}: $!\n";
        $self->{address} = "$host:$self->{port}";
    }
    return $socket;
}

sub start {
    my ($self) = @_;
    my $socket = $self->listener;
    if (exists $self->{accept} && !$self->{accept}) {
        keep_fd($self->{socket} = $socket);
        return $self;
    }

    # The end of the test is the end of the application, however it comes.
    pipe my $line, my $life or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        close_kept(-1);
        close $life;
        eval { $self->serve($socket, $line); 1 }
            or $self->note_event(what => 'error', text => "$@");
        POSIX::_exit(0);
    }
    close $socket;
    close $line;
    keep_fd($self->{life} = $life);
    FCNG::Util::adopt($self->{pid} = $pid);
    return $self;
}

sub stop {
    my ($self) = @_;
    if ($self->{socket}) {
        forget_fd($self->{socket});
        close delete $self->{socket};
    }
    if (my $pid = delete $self->{pid}) {
        kill TERM => -$pid, $pid;
        FCNG::Util::end_child($pid, 'TERM');
        forget_fd($self->{life});
        close delete $self->{life};
    }
    unlink $self->path if $self->{listen} eq 'unix';
    return $self;
}

sub restart { $_[0]->stop->start }

# All of its processes at once, as if the machine had killed them: they cannot
# tell that they closed.
sub kill_all {
    my ($self) = @_;
    my $pid = delete $self->{pid};
    kill KILL => -$pid;
    FCNG::Util::end_child($pid, 'KILL');
    # The others may need a moment, too, before what they had open is closed.
    wait_until(5, sub {
        !grep { slurp($_) =~ /^\d+ \(.*\) [^ZX] \d+ $pid /s }
            glob '/proc/[0-9]*/stat';
    });
    forget_fd($self->{life});
    close delete $self->{life};
    $self->events;
    $self->{totals}{close} = $self->{totals}{accept};
    return $self;
}

sub DESTROY {
    my ($self) = @_;
    local ($@, $?, $!);
    $self->stop if $self->{owner} == $$;
}

# ---- in the application's process ----

sub serve {
    my ($self, $socket, $line) = @_;
    setpgrp 0, 0;
    $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
    $SIG{CHLD} = 'IGNORE';
    $self->{in_app} = 1;
    open $self->{log}, '>>:raw', $self->{file} or die "$self->{file}: $!\n";
    for (2 .. $self->{workers} // 0) {
        last if !fork;
        $self->{is_worker} = 1;
    }
    my $bits = '';
    vec($bits, fileno $_, 1) = 1 for $socket, $line;
    $socket->blocking(0);
    while (1) {
        my $found = select my $ready = $bits, undef, undef, undef;
        next if $found < 0; # a signal: the bits say nothing
        if (vec $ready, fileno $line, 1) {
            kill KILL => -getpgrp;
            last;
        }
        my $peer = $socket->accept or next;
        $peer->blocking(1);
        $self->{count}++;
        if ($self->{workers}) {
            $self->converse($peer);
            next;
        }
        my $pid = fork;
        if (defined $pid && !$pid) {
            close $socket;
            $self->converse($peer);
            POSIX::_exit(0);
        }
        close $peer;
    }
}

sub converse {
    my ($self, $peer) = @_;
    my $conn = FCNG::App::Connection->new($self, $peer,
        "$$." . $self->{count});
    $self->{current} = $conn->{name};
    $self->note_event(what => 'accept');
    eval {
        $self->{connection} ? $self->{connection}->($conn)
            : $self->{multiplex}
            ? FCNG::App::Multiplex->serve($conn, $self->{multiplex})
            : $conn->serve_requests($self->{request});
        1;
    } or $self->note_event(what => 'error', text => "$@");
    $conn->finish;
}

# One write to a file opened for appending: lines of several processes never
# mix.
sub note_event {
    my ($self, %event) = @_;
    $event{at} = time;
    $event{conn} //= $self->{current} if defined $self->{current};
    my $fh = $self->{log};
    if (!$fh) {
        open $fh, '>>:raw', $self->{file} or return;
    }
    syswrite $fh, pack 'N/a*', Storable::freeze(\%event);
}

# ---- in the test ----

# All events so far, or those of one kind.
sub events {
    my ($self, $what) = @_;
    open my $fh, '<:raw', $self->{file} or return;
    seek $fh, $self->{offset} // 0, 0;
    local $/;
    my $bytes = <$fh> // '';
    my $at = 0;
    while ($at + 4 <= length $bytes) {
        my $length = unpack 'N', substr $bytes, $at, 4;
        last if $at + 4 + $length > length $bytes;
        my $event = Storable::thaw(substr $bytes, $at + 4, $length);
        $self->{totals}{$event->{what}}++;
        push @{ $self->{events} }, $event;
        $at += 4 + $length;
    }
    $self->{offset} = ($self->{offset} // 0) + $at;
    return grep { !defined $what || $_->{what} eq $what }
        @{ $self->{events} || [] };
}

# wait_event(what, %more): the newest event of the kind, waited for. count:
# so many of them; seconds: at most (5); nothing when it did not come.
sub wait_event {
    my ($self, $what, %more) = @_;
    my $count = $more{count} // 1;
    my @found;
    wait_until($more{seconds} // 5, sub {
        @found = $self->events($what);
        return @found >= $count;
    }) or return;
    return $found[-1];
}

# What came before is forgotten.
sub forget {
    my ($self) = @_;
    $self->events;
    $self->{events} = [];
    return $self;
}

# Lets callbacks pass that wait with wait_gate(name).
sub open_gate {
    my ($self, $name) = @_;
    spew("$self->{dir}/gates/$name", '');
    return $self;
}

sub close_gate {
    my ($self, $name) = @_;
    unlink "$self->{dir}/gates/$name";
    return $self;
}

# Waits until every connection has ended.
sub wait_idle {
    my ($self, $seconds) = @_;
    return wait_until($seconds // 5, sub {
        my ($opened, $closed) = $self->counts;
        return $opened == $closed;
    });
}

# Connections that were opened and those of them that ended.
sub counts {
    my ($self) = @_;
    $self->events;
    return map { $self->{totals}{$_} // 0 } qw(accept close);
}

1;
