# SPDX-License-Identifier: BSD-2-Clause
package FCNG::HTTP;

# A raw HTTP/1.1 client: exact bytes out, exact bytes in, with the time at
# which each piece arrived, and whether an answer was complete.

use strict;
use warnings;
use Exporter 'import';
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

our @EXPORT = qw(get request);

# get($port, '/path', Header => value, ...): one request on a connection of its
# own.  Returns a response: { status, reason, head, headers (name in lower case
# => [values]), body, complete, raw, pieces => [[seconds, bytes], ...] }.
sub get {
    my ($port, $path, @headers) = @_;
    return request($port, 'GET', $path, undef, @headers);
}

sub request {
    my ($port, $method, $path, $body, @headers) = @_;
    my $client = FCNG::HTTP->new($port);
    $client->send(message($method, $path, $body, 'Connection' => 'close',
        @headers));
    return $client->response($method);
}

# The bytes of a request; Content-Length is set when there is a body.
sub message {
    my ($method, $path, $body, @headers) = @_;
    my $out = "$method $path HTTP/1.1\r\nHost: localhost\r\n";
    while (my ($name, $value) = splice @headers, 0, 2) {
        $out .= "$name: $value\r\n";
    }
    $out .= 'Content-Length: ' . length($body) . "\r\n" if defined $body;
    return "$out\r\n" . ($body // '');
}

sub new {
    my ($class, $port) = @_;
    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1',
        PeerPort => $port,
        Timeout  => 10,
    ) or die "cannot connect to port $port: $@";
    return bless {
        socket => $socket,
        buffer => '',
        start  => time,
        pieces => [],
    }, $class;
}

sub send {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $at = 0;
    while ($at < length $bytes) {
        my $n = syswrite $self->{socket}, $bytes, length($bytes) - $at, $at;
        return 0 unless defined $n;
        $at += $n;
    }
    return 1;
}

# Reads what is there within |seconds|; false at the end or on a timeout
# ($self->{timed_out}).
sub fill {
    my ($self, $seconds) = @_;
    $self->{timed_out} = 0;
    unless (IO::Select->new($self->{socket})->can_read($seconds // 30)) {
        $self->{timed_out} = 1;
        return 0;
    }
    my $n = sysread $self->{socket}, my $bytes, 262144;
    return 0 unless $n;
    push @{ $self->{pieces} }, [ time - $self->{start}, $bytes ];
    $self->{buffer} .= $bytes;
    return 1;
}

# The next response on this connection.
sub response {
    my ($self, $method, $seconds) = @_;
    my %r = (headers => {}, body => '', complete => 0);
    until ($self->{buffer} =~ /\r?\n\r?\n/) {
        unless ($self->fill($seconds)) {
            $r{raw} = $self->{buffer};
            $r{timed_out} = $self->{timed_out};
            $r{pieces} = $self->{pieces};
            return \%r;
        }
    }
    $self->{buffer} =~ s/\A(.*?)\r?\n\r?\n//s;
    $r{head} = $1;
    my ($line, @fields) = split /\r?\n/, $r{head};
    @r{qw(status reason)} = $line =~ m!^HTTP/1\.[01] (\d+) ?(.*)!;
    for (@fields) {
        my ($name, $value) = /^([^:]+):\s*(.*)$/ or next;
        push @{ $r{headers}{ lc $name } }, $value;
    }
    if ($r{status} == 100) { # an interim answer: the real one follows
        my $next = $self->response($method, $seconds);
        $next->{continued} = 1;
        return $next;
    }
    $self->_body(\%r, $method // 'GET', $seconds);
    $r{pieces} = $self->{pieces};
    $r{timed_out} = $self->{timed_out} && !$r{complete};
    return \%r;
}

sub _body {
    my ($self, $r, $method, $seconds) = @_;
    if ($method eq 'HEAD' || $r->{status} == 204 || $r->{status} == 304) {
        $r->{complete} = 1;
    } elsif (($r->{headers}{'transfer-encoding'}[0] // '') =~ /chunked/i) {
        $self->_chunks($r, $seconds);
    } elsif (defined(my $length = $r->{headers}{'content-length'}[0])) {
        while (length $self->{buffer} < $length && $self->fill($seconds)) { }
        $r->{body} = substr $self->{buffer}, 0, $length, '';
        $r->{complete} = length $r->{body} == $length ? 1 : 0;
    } else {
        while ($self->fill($seconds)) { }
        $r->{body} = $self->{buffer};
        $self->{buffer} = '';
        $r->{complete} = $self->{timed_out} ? 0 : 1;
    }
}

sub _chunks {
    my ($self, $r, $seconds) = @_;
    while (1) {
        # What a match captured is gone after the loop that matched.
        while ($self->{buffer} !~ /\r\n/) {
            return unless $self->fill($seconds);
        }
        $self->{buffer} =~ /\A([0-9a-fA-F]+)[^\r\n]*\r\n/ or return;
        my ($len, $from) = (hex $1, $+[0]);
        while (length $self->{buffer} < $from + $len + 2) {
            unless ($self->fill($seconds)) {
                $r->{body} .= substr $self->{buffer}, $from;
                return;
            }
        }
        $r->{body} .= substr $self->{buffer}, $from, $len;
        substr $self->{buffer}, 0, $from + $len + 2, '';
        if ($len == 0) {
            $r->{complete} = 1;
            return;
        }
    }
}

sub header {
    my ($response, $name) = @_;
    return $response->{headers}{ lc $name }[0];
}

sub close { close $_[0]{socket} }

1;
