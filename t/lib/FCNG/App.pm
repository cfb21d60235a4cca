# SPDX-License-Identifier: BSD-2-Clause
package FCNG::App;

# A FastCGI application that does what a test tells it, to the byte: one
# process that accepts, and one process for each connection.
#
#   my $app = FCNG::App->start(sub {
#       my ($request, $connection) = @_;      # the parameters are complete
#       my $body = $request->body;            # reads STDIN to its end
#       $request->out("Content-Type: text/plain\r\n\r\nhello");
#       $request->end;
#   });
#
# Options: listen => 'unix' (default), 'tcp' or a path; backlog => N;
# on_connect => sub { my ($connection) = @_ } in place of the handler.
#
# What happened is written to a file, a line each: accepts, closes, requests
# and what a handler notes.  It can be read at any time with events().

use strict;
use warnings;

use Fcntl qw(:flock);
use File::Temp ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Socket qw(SOMAXCONN);
use Time::HiRes qw(sleep time);

use FCNG::Wire;

sub start {
    my ($class, $handler, %option) = @_;
    my $self = bless {
        dir     => $option{dir} // _dir(),
        handler => $handler,
        option  => \%option,
        owner   => $$,
    }, $class;
    $self->{events} = "$self->{dir}/app-events-" . ++our $count . "-$$";
    open my $touch, '>', $self->{events} or die "$self->{events}: $!";
    close $touch;
    $self->_listen;
    $self->_run;
    return $self;
}


sub _dir {
    my $dir = File::Temp->newdir('fcng-app-XXXXXX', TMPDIR => 1);
    chmod 0755, "$dir";
    return $dir;
}


sub _listen {
    my ($self) = @_;
    my $where = $self->{option}{listen} // 'unix';
    my $backlog = $self->{option}{backlog} // SOMAXCONN;
    if ($where =~ /^tcp(?::(\d+))?$/) {
        $self->{socket} = IO::Socket::INET->new(
            LocalAddr => '127.0.0.1',
            LocalPort => $1 // 0,
            Listen    => $backlog,
            ReuseAddr => 1,
        ) or die "cannot listen: $@";
        $self->{address} = '127.0.0.1:' . $self->{socket}->sockport;
        return;
    }
    my $path = $where =~ m!/! ? $where
        : "$self->{dir}/app-" . ++our $sockets . "-$$.sock";
    unlink $path;
    $self->{socket} = IO::Socket::UNIX->new(Local => $path, Listen => $backlog)
        or die "$path: $!";
    chmod 0777, $path;
    $self->{address} = "unix:$path";
    $self->{path} = $path;
}


# What goes into a server's configuration.
sub address { $_[0]{address} }

# The socket's path, or undef.
sub path { $_[0]{path} }


sub _run {
    my ($self) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid) {
        $self->{pid} = $pid;
        close $self->{socket} unless $self->{option}{keep_listening};
        return;
    }
    $SIG{$_} = 'DEFAULT' for qw(TERM INT __DIE__ __WARN__);
    $SIG{PIPE} = 'IGNORE';
    $SIG{CHLD} = 'IGNORE';
    setpgrp;
    while (1) {
        my $socket = $self->{socket}->accept or next;
        $self->note('accept');
        my $child = fork;
        if (defined $child && $child == 0) {
            close $self->{socket};
            $SIG{CHLD} = 'DEFAULT';
            eval { $self->_serve($socket); 1 } or $self->note("died: $@");
            $self->note('close');
            close $socket;
            POSIX::_exit(0);
        }
        close $socket;
    }
}


sub _serve {
    my ($self, $socket) = @_;
    my $connection = FCNG::App::Connection->new($self, $socket);
    if (my $hook = $self->{option}{on_connect}) {
        return $hook->($connection);
    }
    while (my $request = $connection->next_request) {
        $self->note('request');
        $self->{handler}->($request, $connection);
        return if $connection->{closed}
            || ($request->{ended} && !($request->{flags} & KEEP_CONN));
    }
}


# Writes a line that the test can read.
sub note {
    my ($self, $text) = @_;
    open my $out, '>>', $self->{events} or return;
    flock $out, LOCK_EX;
    (my $line = $text) =~ s/\n/\\n/g;
    syswrite $out, "$line\n";
    close $out;
}


# All lines so far, or those that match.
sub events {
    my ($self, $pattern) = @_;
    open my $in, '<', $self->{events} or return;
    chomp(my @lines = <$in>);
    return defined $pattern ? grep { $_ =~ $pattern } @lines : @lines;
}


# Waits until |count| lines match; returns how many do.
sub wait_for {
    my ($self, $pattern, $count, $seconds) = @_;
    my $end = time + ($seconds // 10);
    my $n;
    while (($n = () = $self->events($pattern)) < ($count // 1)
        && time < $end) {
        sleep 0.01;
    }
    return $n;
}


sub accepts { scalar(() = $_[0]->events(qr/^accept$/)) }
sub closes { scalar(() = $_[0]->events(qr/^close$/)) }
sub requests { scalar(() = $_[0]->events(qr/^request$/)) }


sub stop {
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} or return;
    kill $signal // 'KILL', -$pid;
    kill $signal // 'KILL', $pid;
    waitpid $pid, 0;
    unlink $self->{path} if defined $self->{path} && !$self->{option}{keep_path};
}


# Serves again at the same address.
sub restart {
    my ($self) = @_;
    $self->stop;
    $self->{option}{listen} = $self->{path} // 'tcp:'
        . ($self->{address} =~ /:(\d+)$/)[0];
    $self->_listen;
    $self->_run;
}


sub DESTROY {
    my ($self) = @_;
    return if $$ != $self->{owner};
    local ($?, $@, $!);
    $self->stop;
}


package FCNG::App::Connection;

use FCNG::Wire;
use IO::Select;
use Socket qw(SOL_SOCKET SO_LINGER);

sub new {
    my ($class, $app, $socket) = @_;
    return bless { app => $app, socket => $socket, buffer => '', queue => [] },
        $class;
}

# Sends raw bytes, all of them.
sub send {
    my ($self, $bytes) = @_;
    my $at = 0;
    while ($at < length $bytes) {
        my $n = syswrite $self->{socket}, $bytes, length($bytes) - $at, $at;
        return 0 unless defined $n;
        $at += $n;
    }
    return 1;
}

# The next record of any kind, or undef at the end; |seconds| bound the wait.
sub next_record {
    my ($self, $seconds) = @_;
    until (@{ $self->{queue} }) {
        return if defined $seconds
            && !IO::Select->new($self->{socket})->can_read($seconds);
        my $n = sysread $self->{socket}, my $bytes, 65536;
        return unless $n;
        $self->{buffer} .= $bytes;
        push @{ $self->{queue} }, take_records(\$self->{buffer});
    }
    return shift @{ $self->{queue} };
}

# Reads up to the end of a request's parameters.
sub next_request {
    my ($self) = @_;
    my ($request, $params) = (undef, '');
    while (my $record = $self->next_record) {
        if ($record->{type} == GET_VALUES) {
            $self->send(record(GET_VALUES_RESULT, 0,
                pairs(FCGI_MPXS_CONNS => 0)));
        } elsif ($record->{type} == BEGIN_REQUEST) {
            my ($role, $flags) = unpack 'nC', $record->{content};
            $request = bless {
                id         => $record->{id},
                role       => $role,
                flags      => $flags,
                connection => $self,
                records    => [],
            }, 'FCNG::App::Request';
        } elsif ($record->{type} == PARAMS && $request) {
            push @{ $request->{records} }, $record;
            if ($record->{content} eq '') {
                $request->{list} = [ parse_pairs($params) ];
                $request->{params} = { @{ $request->{list} } };
                return $request;
            }
            $params .= $record->{content};
        }
    }
    return;
}

sub close {
    my ($self) = @_;
    $self->{closed} = 1;
    close $self->{socket};
}

# Closes with a reset, so that the peer sees ECONNRESET.
sub reset {
    my ($self) = @_;
    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
    $self->close;
}

sub note { $_[0]{app}->note($_[1]) }


package FCNG::App::Request;

use FCNG::Wire;

sub param { $_[0]{params}{ $_[1] } }

# The next bytes of STDIN; undef at its end.
sub read {
    my ($self) = @_;
    return if $self->{stdin_ended};
    while (my $record = $self->{connection}->next_record) {
        next unless $record->{type} == STDIN_ && $record->{id} == $self->{id};
        return $record->{content} if $record->{content} ne '';
        $self->{stdin_ended} = 1;
        return;
    }
    $self->{cut} = 1; # the connection ended before STDIN did
    return;
}

# All of STDIN.
sub body {
    my ($self) = @_;
    my $body = '';
    while (defined(my $bytes = $self->read)) {
        $body .= $bytes;
    }
    return $body;
}

sub out {
    my ($self, $bytes) = @_;
    return $self->{connection}->send(stream(STDOUT_, $self->{id}, $bytes));
}

sub err {
    my ($self, $bytes) = @_;
    return $self->{connection}->send(stream(STDERR_, $self->{id}, $bytes));
}

# Ends STDOUT and the request.
sub end {
    my ($self, $app_status, $protocol_status) = @_;
    $self->{ended} = 1;
    return $self->{connection}->send(record(STDOUT_, $self->{id})
            . end_request($self->{id}, $app_status, $protocol_status));
}

# A whole answer: reads the body first, as well-behaved applications do.
sub answer {
    my ($self, $head, $body) = @_;
    $self->body;
    $self->out("$head\r\n\r\n" . ($body // ''));
    return $self->end;
}

sub note { $_[0]{connection}->note($_[1]) }

1;
