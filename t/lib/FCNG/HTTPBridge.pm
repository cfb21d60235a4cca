# SPDX-License-Identifier: BSD-2-Clause
#
# For t/nginx-tests: a FastCGI application on 127.0.0.2 that hands each request
# on, as HTTP/1.0, to the same port of 127.0.0.1, where the HTTP server of one
# of nginx's test files listens.  So files that were written for proxy_pass
# hold for fastcgi_ng_pass too.  (HTTP/1.1 only for a body of unknown length.)
#
#   use FCNG::HTTPBridge qw(8081 8082);
#
# starts one for each port before Test::Nginx starts nginx.  The response goes
# back as it comes; where the server closes without one, or within the head,
# so does the application.
package FCNG::HTTPBridge;

use strict;
use warnings;
use FCNG::Wire qw(record stream end_request parse_pairs take_record);
use IO::Socket::INET ();
use POSIX ();

sub import {
    my ($class, @numbers) = @_;
    my $started;
    for my $name (qw(run try_run)) {
        no strict 'refs';
        no warnings qw(redefine prototype);
        my $run = \&{"Test::Nginx::$name"};
        *{"Test::Nginx::$name"} = sub {
            start($_[0], @numbers) if !$started++;
            goto &$run;
        };
    }
}

sub start {
    my ($t, @numbers) = @_;
    for my $number (@numbers) {
        my $port = Test::Nginx::port($number);
        my $socket = IO::Socket::INET->new(LocalAddr => "127.0.0.2:$port",
            Proto => 'tcp', Listen => 128, ReuseAddr => 1)
            or die "127.0.0.2:$port: $!\n";
        $t->run_daemon(\&serve, $socket, $port);
    }
}

sub serve {
    my ($listener, $port) = @_;
    $SIG{CHLD} = 'IGNORE';
    $SIG{PIPE} = 'IGNORE';
    $SIG{TERM} = sub { POSIX::_exit(0) };
    my $parent = $$;
    while (1) {
        my $socket = $listener->accept or next;
        my $pid = fork;
        if (defined $pid && !$pid) {
            close $listener;
            converse($socket, $port, $parent);
            POSIX::_exit(0);
        }
        close $socket;
    }
}

# Requests, one after the other, until either side has enough.
sub converse {
    my ($socket, $port, $parent) = @_;
    $socket->blocking(0);
    my $self = { app => $socket, app_in => '', app_out => '', port => $port,
        parent => $parent };
    1 while request($self);
}

sub request {
    my ($self) = @_;
    @$self{qw(params http_in http_out head end left)} =
        ('', '', '', 0, 0, undef);
    while (1) {
        while (my $record = take_record(\$self->{app_in})) {
            take($self, $record) or return 0;
        }
        return 0 if $self->{app_eof};
        if ($self->{http} && $self->{head}) {
            my $enough = defined $self->{left} && $self->{left} <= 0;
            if ($enough || $self->{http_eof}) {
                $self->{app_out} .= end_request($self->{id});
                $self->{end} = 1;
            }
        }
        elsif ($self->{http_eof}) {
            return 0;
        }
        if ($self->{end}) {
            close delete $self->{http};
            delete $self->{http_eof};
            flush($self) or return 0;
            return $self->{keep};
        }
        wait_for($self) or return 0;
    }
}

# A record from nginx; false: the connection is over.
sub take {
    my ($self, $record) = @_;
    my ($type, $content) = @$record{qw(type content)};
    if ($type == FCNG::Wire::T_BEGIN_REQUEST) {
        $self->{id} = $record->{id};
        $self->{keep} = (unpack 'nC', $content)[1] & FCNG::Wire::KEEP_CONN;
    }
    elsif ($type == FCNG::Wire::T_PARAMS) {
        $self->{params} .= $content;
        if (!length $content) {
            $self->{env} = { parse_pairs($self->{params}) };
            return open_http($self)
                if defined $self->{env}{CONTENT_LENGTH};
        }
    }
    elsif ($type == FCNG::Wire::T_STDIN) {
        return 1 if $self->{end};
        $self->{http} || open_http($self, length $content) or return 0;
        $self->{http_out} .= $self->{chunked}
            ? sprintf("%x\r\n%s\r\n", length $content, $content)
            : $content;
    }
    elsif ($type == FCNG::Wire::T_ABORT_REQUEST) {
        return 0;
    }
    return 1;
}

sub uri {
    my ($env) = @_;
    my $uri = $env->{DOCUMENT_URI};
    if (defined $env->{BRIDGE_URI}) {
        return $env->{BRIDGE_URI};
    }
    if (defined $env->{BRIDGE_PREFIX}) {
        my $rest = $env->{PATH_INFO} // '';
        # a mount has no slash at its end, the location may have had one
        $rest =~ s{^/}{} if $env->{BRIDGE_LOCATION} =~ m{/$};
        $uri = $env->{BRIDGE_PREFIX} . $rest;
    }
    $uri =~ s/([^!-~]|%)/sprintf '%%%02X', ord $1/ge;
    my $query = $env->{QUERY_STRING} // '';
    return length $query ? "$uri?$query" : $uri;
}

sub open_http {
    my ($self, $chunked) = @_;
    my $env = $self->{env};
    $self->{chunked} = $chunked;
    my $socket = IO::Socket::INET->new(Proto => 'tcp',
        PeerAddr => "127.0.0.1:$self->{port}") or return 0;
    $socket->blocking(0);
    $self->{http} = $socket;
    my $length = $env->{CONTENT_LENGTH};
    my $text = "$env->{REQUEST_METHOD} " . uri($env)
        . ($chunked ? " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
            : " HTTP/1.0\r\n");
    for my $name (sort grep { /^HTTP_/ } keys %$env) {
        my $field = join '-', map { ucfirst lc } split /_/, substr $name, 5;
        next if $field eq 'Connection' || !length $env->{$name};
        $text .= "$field: $env->{$name}\r\n";
    }
    $text .= "Content-Type: $env->{CONTENT_TYPE}\r\n"
        if length($env->{CONTENT_TYPE} // '');
    $text .= "Content-Length: $length\r\n" if length($length // '');
    $self->{http_out} = "${text}Connection: close\r\n\r\n";
    return 1;
}

# Bytes of the HTTP server's response.
sub answer {
    my ($self, $bytes) = @_;
    if (!$self->{head}) {
        $self->{http_in} .= $bytes;
        $self->{http_in} =~ s/^(.*?\r?\n)\r?\n//s or return;
        my $head = $1;
        $bytes = $self->{http_in};
        $head =~ s/^HTTP\S+ /Status: /;
        $self->{head} = 1;
        my ($status) = $head =~ /^Status: (\d+)/;
        $self->{left} = $self->{env}{REQUEST_METHOD} eq 'HEAD'
            || ($status // 0) =~ /^(?:204|304)$/ ? 0
            : $head =~ /^Content-Length: (\d+)/mi ? $1 : undef;
        $self->{app_out} .= record(FCNG::Wire::T_STDOUT, $self->{id},
            "$head\r\n");
    }
    $self->{left} -= length $bytes if defined $self->{left};
    $self->{app_out} .= stream(FCNG::Wire::T_STDOUT, $self->{id}, $bytes);
}

sub flush {
    my ($self) = @_;
    $self->{app}->blocking(1);
    my $ok = 1;
    while ($ok && length $self->{app_out}) {
        my $n = syswrite $self->{app}, $self->{app_out};
        $ok = defined $n;
        substr $self->{app_out}, 0, $n // 0, '';
    }
    $self->{app}->blocking(0);
    return $ok;
}

# Moves what can be moved.
sub wait_for {
    my ($self) = @_;
    my ($in, $out) = ('', '');
    for my $side (qw(app http)) {
        my $socket = $self->{$side} or next;
        my $fd = fileno $socket;
        vec($in, $fd, 1) = !$self->{"${side}_eof"};
        vec($out, $fd, 1) = length $self->{"${side}_out"} > 0;
    }
    # The test ends its daemons, and not those that they started.
    my $ready = select $in, $out, undef, 5;
    return getppid == $self->{parent} if !$ready;
    for my $side (qw(app http)) {
        my $socket = $self->{$side} or next;
        my $fd = fileno $socket;
        if (vec $out, $fd, 1) {
            my $n = syswrite $socket, $self->{"${side}_out"};
            return 0 if !defined $n && $side eq 'app';
            $n = length $self->{"${side}_out"} if !defined $n;
            substr $self->{"${side}_out"}, 0, $n, '';
        }
        next if !vec $in, $fd, 1;
        my $n = sysread $socket, my $bytes, 32_768;
        if (!$n) { $self->{"${side}_eof"} = 1 }
        elsif ($side eq 'app') { $self->{app_in} .= $bytes }
        else { answer($self, $bytes) }
    }
    return 1;
}

1;
