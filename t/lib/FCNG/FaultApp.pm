# SPDX-License-Identifier: BSD-2-Clause
#
# An application of faults (FCNG::Faults): one process that serves all its
# connections by turns, so that hundreds of requests a second go wrong at the
# same time.  The last parts of the path say what a request gets:
#
#   .../EXCHANGE/FAULT/N            after all of the body
#   .../EXCHANGE/FAULT/N/part       after a part of it, the rest is not read
#   .../good/ANYTHING               its path and what came as body, at length
#
# It listens on several addresses: new(listen => [qw(unix tcp)]).
package FCNG::FaultApp;

use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use FCNG::Faults;
use FCNG::Util qw(tmpdir slurp free_port wait_until keep_fd close_kept);
use FCNG::Wire qw(take_record parse_pairs stream record end_request);
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use POSIX ();
use Socket qw(SOCK_STREAM SOL_SOCKET SO_LINGER SO_RCVBUF SOMAXCONN);
use Time::HiRes qw(time);

use constant PART => 65_536;     # read of a body that is not read whole
use constant STALL => 2;         # seconds; then it looks who has left
use constant SIOCOUTQ => 0x5411; # <linux/sockios.h>

sub new {
    my ($class, %how) = @_;
    my $self = bless { listen => ['unix'], dir => tmpdir(), owner => $$,
        %how }, $class;
    my $n = 0;
    for my $kind (@{ $self->{listen} }) {
        my $path = "$self->{dir}/" . $n++;
        my $port = $kind eq 'tcp' ? free_port() : 0;
        push @{ $self->{address} }, $port ? "127.0.0.1:$port" : "unix:$path";
        my $socket = $port
            ? IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                LocalPort => $port, ReuseAddr => 1, Listen => SOMAXCONN)
            : IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path,
                Listen => SOMAXCONN);
        die "listen: $!\n" if !$socket;
        # So that a body does not fit into what the kernel holds.
        setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 16_384 if $port;
        chmod 0777, $path if !$port;
        $socket->blocking(0);
        push @{ $self->{sockets} }, $socket;
    }
    $self->start;
    return $self;
}

# The end of the test is the end of the application.
sub start {
    my ($self) = @_;
    pipe my $line, my $life or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        close_kept(-1);
        close $life;
        $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
        $self->{line} = $line;
        eval { $self->serve; 1 } or $self->say('errors', $@);
        POSIX::_exit(0);
    }
    close $line;
    keep_fd($self->{life} = $life);
    FCNG::Util::adopt($self->{pid} = $pid);
}

sub address { $_[0]{address}[$_[1] // 0] }

sub DESTROY {
    my ($self) = @_;
    local ($@, $?, $!);
    FCNG::Util::end_child($self->{pid}, 'TERM')
        if $self->{owner} == $$ && $self->{pid};
}

# ---- in the test ----

sub lines { split /\n/, slurp("$_[0]{dir}/$_[1]") }

# Connections that came and went; what FCNG::Host asks at the end.
sub counts { map { scalar $_[0]->lines($_) } qw(opened closed) }
sub events { map { { text => $_ } } $_[0]->lines($_[1] . 's') }

# How often each path was asked for since the last call.
sub asked {
    my ($self) = @_;
    my %asked;
    my @lines = $self->lines('asked');
    $asked{$_}++ for @lines[$self->{read} // 0 .. $#lines];
    $self->{read} = @lines;
    return \%asked;
}

# ---- in the application ----

sub say {
    my ($self, $what, $text) = @_;
    $self->{log}{$what} //= do {
        open my $fh, '>>:raw', "$self->{dir}/$what" or return;
        $fh;
    };
    syswrite $self->{log}{$what}, "$text\n";
}

sub serve {
    my ($self) = @_;
    my %conn;
    while (1) {
        my ($r, $w) = ('', '');
        my $dripping = 0;
        vec($r, fileno $_, 1) = 1 for $self->{line}, @{ $self->{sockets} };
        for my $fd (keys %conn) {
            my $c = $conn{$fd};
            vec($r, $fd, 1) = 1 if !$c->{deaf} || $c->{deaf} < time;
            vec($w, $fd, 1) = 1 if @{ $c->{out} };
        }
        select $r, $w, undef, 0.2;
        return if vec $r, fileno $self->{line}, 1;
        for my $fd (keys %conn) {
            my $c = $conn{$fd};
            $self->readable($c) if vec $r, $fd, 1;
            $self->writable($c) if !$c->{closed} && vec $w, $fd, 1;
            delete $conn{$fd} if $c->{closed};
        }
        for my $listener (grep { vec $r, fileno $_, 1 }
                @{ $self->{sockets} }) {
            while (my $socket = $listener->accept) {
                $socket->blocking(0);
                $conn{fileno $socket} = { socket => $socket, in => '',
                    out => [], request => {} };
                $self->say('opened', '');
            }
        }
    }
}

sub hang_up {
    my ($self, $c, $reset) = @_;
    setsockopt $c->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $reset;
    $c->{closed} = 1;
    close $c->{socket};
    $self->say('closed', '');
}

sub readable {
    my ($self, $c) = @_;
    my $n = sysread $c->{socket}, $c->{in}, 65_536, length $c->{in};
    return if !defined $n && $!{EAGAIN};
    return $self->hang_up($c) if !$n;
    if ($c->{deaf}) {
        $c->{in} = '';
        return;
    }
    while (!$c->{deaf} and my $record = take_record(\$c->{in})) {
        $self->take($c, $record);
    }
}

sub take {
    my ($self, $c, $record) = @_;
    my ($type, $id, $content) = @$record{qw(type id content)};
    if ($type == FCNG::Wire::T_BEGIN_REQUEST) {
        $c->{request}{$id} = { id => $id, params => '', size => 0,
            md5 => Digest::MD5->new };
        return;
    }
    my $r = $c->{request}{$id} or return;
    if ($type == FCNG::Wire::T_PARAMS) {
        $r->{params} .= $content;
        return if length $content;
        my %env = parse_pairs($r->{params});
        $r->{path} = $env{PATH_INFO} // '';
        $self->say('asked', ($env{SCRIPT_NAME} // '') . $r->{path});
    }
    elsif ($type == FCNG::Wire::T_STDIN) {
        $r->{size} += length $content;
        $r->{md5}->add($content);
        my $part = $r->{path} =~ m{/part$};
        $self->answer($c, $r) if $part ? $r->{size} >= PART && !$r->{done}
            : !length $content;
    }
}

# What a good request gets.
sub good {
    my ($path, $size, $md5) = @_;
    my ($length) = $path =~ m{/good/(\d+)};
    my $line = "$path $size $md5\n";
    return substr $line x (1 + $length / length $line), 0, $length;
}

sub answer {
    my ($self, $c, $r) = @_;
    $r->{done} = 1;
    if ($r->{path} =~ m{/good/}) {
        my $body = good($r->{path}, $r->{size}, $r->{md5}->hexdigest);
        push @{ $c->{out} }, stream(FCNG::Wire::T_STDOUT, $r->{id},
            "Content-Type: text/plain\r\n\r\n$body")
            . record(FCNG::Wire::T_STDOUT, $r->{id}, '')
            . end_request($r->{id});
        delete $c->{request}{$r->{id}};
        return;
    }
    my ($name, $fault, $n, $part) = $r->{path}
        =~ m{/(\w+)/([\w-]+)/(\d+)(?:/(part))?$} or die "path $r->{path}\n";
    my ($pieces, $then) = FCNG::Faults::plan($name, $fault, $n, $r->{id});
    # What was not read of the body is never read.
    $then = 'cut' if $part && $then eq 'keep';
    push @{ $c->{out} }, (grep { length } @$pieces), \$then;
    $c->{deaf} = time + 3600 if $part || $then ne 'keep';
    delete $c->{request}{$r->{id}};
}

# Of a connection that is closed with bytes unread, TCP throws away what has
# not arrived.
sub is_on_its_way {
    my ($c) = @_;
    return 0 if !$c->{socket}->isa('IO::Socket::INET');
    $c->{cut_by} //= time + 1;
    my $left = pack 'i', 0;
    return 0 if time > $c->{cut_by} || !ioctl $c->{socket}, SIOCOUTQ, $left;
    return unpack('i', $left) > 0;
}

# One piece a turn: the host sees each by itself.
sub writable {
    my ($self, $c) = @_;
    my $out = $c->{out};
    if (@$out && !ref $out->[0]) {
        my $n = syswrite $c->{socket}, $out->[0];
        if (!defined $n) {
            return if $!{EAGAIN};
            return $self->hang_up($c);
        }
        substr $out->[0], 0, $n, '';
        shift @$out if !length $out->[0];
    }
    while (@$out && ref $out->[0]) {
        return if ${ $out->[0] } eq 'cut' && is_on_its_way($c);
        my $then = ${ shift @$out };
        return $self->hang_up($c, $then eq 'reset')
            if $then eq 'cut' || $then eq 'reset';
        $c->{deaf} = time + STALL if $then eq 'stall';
    }
}

1;
