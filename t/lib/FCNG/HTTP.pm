# SPDX-License-Identifier: BSD-2-Clause
#
# An HTTP/1.1 client on bare sockets: it sends the bytes it is told to, when
# it is told to, reads while it writes, and keeps what came exactly as it
# came: head, chunks, when each piece arrived, and whether the response was
# complete or broken off.  Wrappers of curl and nghttp follow.
package FCNG::HTTP;

use strict;
use warnings;
use Exporter 'import';
use FCNG::Util qw(find_tool run_bounded);
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(get post request curl nghttp);

# ---- one call for most tests ----

# request(port, method, path, %more): one request on a connection of its
# own.  headers: list of names and values; body: bytes, or code that gives
# pieces; chunked; length: another Content-Length; seconds: at most (30);
# sink: code for body bytes, which are then not kept.
sub request {
    my ($port, $method, $path, %more) = @_;
    my $client = __PACKAGE__->new($port) or return bless {
        error => "connect: $!",
        status => 0, headers => [], body => '', size => 0, pieces => [],
    }, 'FCNG::HTTP::Response';
    return $client->request_on($method, $path, close => 1, %more);
}

sub get { request($_[0], 'GET', @_[1 .. $#_]) }

sub post {
    my ($port, $path, $body, @more) = @_;
    return request($port, 'POST', $path, body => $body, @more);
}

# ---- a connection ----

sub new {
    my ($class, $port, %more) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port, Proto => 'tcp', Timeout => 10) or return;
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    $socket->blocking(0);
    return bless { socket => $socket, port => $port, in => '', out => '', %more }, $class;
}

sub close {
    my ($self) = @_;
    CORE::close(delete $self->{socket}) if $self->{socket};
}

# Queues and writes as much as goes at once; run() writes the rest.
sub send {
    my ($self, $bytes) = @_;
    $self->{out} .= $bytes;
    $self->flush;
    return $self;
}

sub flush {
    my ($self) = @_;
    while (length $self->{out} || $self->{source}) {
        if (!length $self->{out}) {
            my $piece = $self->{source}->();
            if (!defined $piece) {
                delete $self->{source};
                last;
            }
            $self->{out} = $piece;
            next;
        }
        my $n = syswrite $self->{socket}, $self->{out}, 262_144;
        if (!defined $n) {
            return if $!{EAGAIN} || $!{EINTR};
            $self->{write_error} = "$!";
            $self->{out} = '';
            delete $self->{source};
            return;
        }
        substr $self->{out}, 0, $n, '';
    }
}

# Waits for socket events once; the number of bytes read, undef for none.
sub turn {
    my ($self, $seconds) = @_;
    my ($r, $w) = ('', '');
    my $fd = fileno $self->{socket};
    vec($r, $fd, 1) = 1;
    vec($w, $fd, 1) = 1 if length $self->{out} || $self->{source};
    select $r, $w, undef, $seconds > 0 ? $seconds : 0;
    $self->flush if vec $w, $fd, 1;
    return if !vec $r, $fd, 1;
    my $n = sysread $self->{socket}, $self->{in}, 262_144,
        length $self->{in};
    if (!defined $n) {
        return if $!{EAGAIN} || $!{EINTR};
        $self->{read_error} = "$!";
        return $self->{eof} = 0;
    }
    $self->{eof} = 1 if !$n;
    return $n;
}

# The head of a request as bytes.
sub head {
    my ($method, $path, %more) = @_;
    my @headers = @{ $more{headers} || [] };
    my $head = "$method $path HTTP/1.1\r\n";
    $head .= "Host: localhost" . ($more{port} ? ":$more{port}" : "") . "\r\n"
        if !grep { lc($headers[$_ * 2]) eq 'host' } 0 .. @headers / 2 - 1;
    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }
    $head .= "Content-Length: $more{length}\r\n" if defined $more{length};
    $head .= "Transfer-Encoding: chunked\r\n" if $more{chunked};
    $head .= "Connection: close\r\n" if $more{close};
    return "$head\r\n";
}

sub chunk { return sprintf("%x\r\n", length $_[0]) . "$_[0]\r\n" }

sub request_on {
    my ($self, $method, $path, %more) = @_;
    my $body = $more{body};
    $more{length} //= length $body
        if defined $body && !ref $body && !$more{chunked};
    $self->{out} .= head($method, $path, port => $self->{port},
        %more);
    if (ref $body) {
        my $ended;
        $self->{source} = !$more{chunked} ? $body : sub {
            return if $ended;
            my $piece = $body->();
            return chunk($piece) if defined $piece;
            $ended = 1;
            return "0\r\n\r\n";
        };
    }
    elsif (defined $body) {
        $self->{out} .= !$more{chunked} ? $body
            : join '', (map { chunk($_) } unpack '(a16384)*', $body),
                "0\r\n\r\n";
    }
    $self->flush;
    return $self->response(head => $method eq 'HEAD', %more);
}

# Reads until the code says so; false at the end or when time is over.
sub until {
    my ($self, $deadline, $code) = @_;
    while (!$code->()) {
        return 0 if defined $self->{eof} || !$self->{socket};
        my $left = $deadline - time;
        if ($left <= 0) {
            $self->{timeout} = 1;
            return 0;
        }
        $self->turn($left);
    }
    return 1;
}

# response(%more): the next response.  head: it has no body; interim: give
# 1xx responses too; part: return after the head.
sub response {
    my ($self, %more) = @_;
    my $deadline = time + ($more{seconds} // 30);
    my $r = { start => time, pieces => [], headers => [], body => '',
        status => 0, complete => 0, size => 0 };
    $self->{response} = $r;
    $self->until($deadline, sub { $self->{in} =~ /\r\n\r\n/ })
        or return $self->broken($r);
    $r->{head_at} = time;
    $self->{in} =~ s/^(.*?\r\n)\r\n//s;
    $r->{raw_head} = $1;
    my ($line, @lines) = split /\r\n/, $1;
    if ($line !~ m{^HTTP/1\.[01] (\d\d\d)(?: (.*))?$}) {
        $r->{error} = 'not HTTP';
        return $r;
    }
    ($r->{status}, $r->{reason}) = ($1, $2);
    for (@lines) {
        push @{ $r->{headers} }, /^([^:]*):[ \t]*(.*)$/s ? ($1, $2)
            : ($_, undef);
    }
    if ($r->{status} < 200 && !$more{interim}) {
        return $self->response(%more, seconds => $deadline - time);
    }
    bless $r, 'FCNG::HTTP::Response';
    $self->plan($r, $more{head});
    return $r if $more{part};
    return $self->rest(%more, seconds => $deadline - time);
}

# How the body ends.
sub plan {
    my ($self, $r, $no_body) = @_;
    my $encoding = $r->header('Transfer-Encoding') // '';
    my $length = $r->header('Content-Length');
    if ($no_body || $r->{status} < 200 || $r->{status} == 204
            || $r->{status} == 304) {
        $r->{framing} = 'none';
    }
    elsif (lc $encoding eq 'chunked') { $r->{framing} = 'chunked' }
    elsif (defined $length) {
        $r->{framing} = 'length';
        $r->{left} = $length;
    }
    else { $r->{framing} = 'close' }
}

# Reads the body of the response under way, to its end, or with `bytes`
# until that many are there.
sub rest {
    my ($self, %more) = @_;
    my $r = $self->{response};
    my $deadline = time + ($more{seconds} // 30);
    my $sink = $more{sink};
    my $enough = $more{bytes};
    $self->until($deadline, sub {
        my $done = $self->decode($r, $sink);
        return $done || defined $enough && $r->{size} >= $enough;
    });
    if ($r->{framing} eq 'close' && $self->{eof}) {
        $r->{complete} = 1;
    }
    return $r if $r->{complete};
    return $r if defined $enough && $r->{size} >= $enough;
    return $self->broken($r);
}

sub take {
    my ($self, $r, $n, $sink) = @_;
    return if !$n;
    my $bytes = substr $self->{in}, 0, $n, '';
    $r->{size} += $n;
    if ($sink) { $sink->($bytes) }
    else {
        $r->{body} .= $bytes;
        push @{ $r->{pieces} }, [time, $bytes];
    }
}

# Moves what came into the body; true when the body is complete.
sub decode {
    my ($self, $r, $sink) = @_;
    return 1 if $r->{complete};
    my $framing = $r->{framing};
    if ($framing eq 'none') { return $r->{complete} = 1 }
    if ($framing eq 'close') {
        $self->take($r, length $self->{in}, $sink);
        return 0;
    }
    if ($framing eq 'length') {
        my $n = length $self->{in};
        $n = $r->{left} if $n > $r->{left};
        $self->take($r, $n, $sink);
        $r->{left} -= $n;
        return $r->{complete} = 1 if !$r->{left};
        return 0;
    }
    while (length $self->{in}) {
        if ($r->{left}) {
            my $n = length $self->{in};
            $n = $r->{left} if $n > $r->{left};
            $self->take($r, $n, $sink);
            $r->{left} -= $n;
            $r->{after_chunk} = 1 if !$r->{left};
            next;
        }
        if ($r->{after_chunk}) {
            return 0 if length $self->{in} < 2;
            if (substr($self->{in}, 0, 2, '') ne "\r\n") {
                $r->{error} = 'bad chunk';
                $self->{eof} = 1;
                return 0;
            }
            $r->{after_chunk} = 0;
            next;
        }
        if ($r->{last_chunk}) {
            return 0 if $self->{in} !~ s/^((?:[^\r\n]+\r\n)*)\r\n//;
            $r->{trailers} = $1;
            return $r->{complete} = 1;
        }
        return 0 if $self->{in} !~ s/^([0-9a-fA-F]+)\r\n//;
        $r->{left} = hex $1;
        push @{ $r->{chunks} }, $r->{left};
        $r->{last_chunk} = 1 if !$r->{left};
    }
    return 0;
}

sub broken {
    my ($self, $r) = @_;
    $r->{error} //= $self->{timeout} ? 'timeout'
        : $self->{read_error} // 'closed';
    delete $self->{timeout};
    return ref $r eq 'HASH' ? bless $r, 'FCNG::HTTP::Response' : $r;
}

# ---- other clients ----

# curl(args...): a hash of exit, out, err.
sub curl {
    my @args = @_;
    my $tool = find_tool('curl') or die "curl missing\n";
    my ($exit, $out, $err) = run_bounded(60, $tool, '-sS', '-q',
        '--max-time', 30, '--noproxy', '*', @args);
    return { exit => $exit, out => $out, err => $err };
}

sub nghttp {
    my @args = @_;
    my $tool = find_tool('nghttp') or die "nghttp missing\n";
    my ($exit, $out, $err) = run_bounded(60, $tool, '-v', '-t', 30, @args);
    return { exit => $exit, out => $out, err => $err };
}

package FCNG::HTTP::Response;

# The first value of a field; in list context all.
sub header {
    my ($self, $name) = @_;
    my @list = @{ $self->{headers} };
    my @found;
    while (my ($key, $value) = splice @list, 0, 2) {
        push @found, $value if lc $key eq lc $name;
    }
    return wantarray ? @found : $found[0];
}

1;
