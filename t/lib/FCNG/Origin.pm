# SPDX-License-Identifier: BSD-2-Clause
#
# A scripted HTTP/1.1 server behind a server's proxy: a callback for each
# request, in a process of its own, that is given the request's head and sends
# any bytes.  The connection is closed behind it.
#
#   my $origin = FCNG::Origin->new(sub { my ($socket, $path, $head) = @_; ... });
#   ... "http://127.0.0.1:" . $origin->port ...
package FCNG::Origin;

use strict;
use warnings;
use FCNG::Util qw(free_port);
use IO::Socket::INET ();
use POSIX ();

sub new {
    my ($class, $code) = @_;
    my $port = free_port();
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Proto => 'tcp', ReuseAddr => 1, Listen => 64)
        or die "port $port: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        FCNG::Util::close_kept(-1);
        setpgrp 0, 0;
        $SIG{TERM} = 'DEFAULT';
        $SIG{CHLD} = $SIG{PIPE} = 'IGNORE';
        serve($listener, $code);
    }
    close $listener;
    FCNG::Util::adopt($pid);
    return bless { port => $port, pid => $pid, owner => $$ }, $class;
}

sub port { $_[0]{port} }

sub DESTROY {
    my ($self) = @_;
    local ($@, $?, $!);
    return if $self->{owner} != $$;
    kill TERM => -$self->{pid}, $self->{pid};
    FCNG::Util::end_child($self->{pid}, 'TERM');
}

# ---- in its process ----

sub serve {
    my ($listener, $code) = @_;
    while (1) {
        my $socket = $listener->accept or next;
        my $pid = fork;
        if (defined $pid && !$pid) {
            close $listener;
            converse($socket, $code);
            POSIX::_exit(0);
        }
        close $socket;
    }
}

sub converse {
    my ($socket, $code) = @_;
    my $in = '';
    while ($in !~ /\r\n\r\n/) {
        sysread $socket, $in, 65_536, length $in or return;
    }
    my ($head, $body) = split /\r\n\r\n/, $in, 2;
    my ($length) = $head =~ /^Content-Length: (\d+)/mi;
    while (length $body < ($length // 0)) {
        sysread $socket, $body, 65_536, length $body or return;
    }
    my ($path) = $head =~ /^\S+ (\S+)/;
    $code->($socket, $path, $head);
}

1;
