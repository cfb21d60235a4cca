# SPDX-License-Identifier: BSD-2-Clause
#
# The end of an unbuffered body over HTTP/2: the stream's, and not its
# content-length's.  Frames are sent one by one here, as no client sends them
# of itself.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time sleep);

use constant { DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4,
    WINDOW_UPDATE => 8, END_STREAM => 1, END_HEADERS => 4, ACK => 1 };

sub frame {
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $stream) . $payload;
}

# Literal fields, which need no table (RFC 7541 section 6.2.2).
sub fields {
    my @list = @_;
    my $block = '';
    while (my ($name, $value) = splice @list, 0, 2) {
        $block .= "\0" . pack('C/a* C/a*', $name, $value);
    }
    return $block;
}

sub client {
    my ($port) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
        or die "$!\n";
    $socket->syswrite("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . frame(SETTINGS, 0, 0, ''));
    return { socket => $socket, in => '' };
}

sub begin {
    my ($client, $path, @more) = @_;
    $client->{socket}->syswrite(frame(HEADERS, END_HEADERS, 1, fields(
        ':method' => 'POST', ':scheme' => 'http', ':path' => $path,
        ':authority' => 'localhost', @more)));
}

sub data {
    my ($client, $bytes, $end) = @_;
    $client->{socket}->syswrite(frame(DATA, $end ? END_STREAM : 0, 1,
        $bytes));
}

# The frames of the stream until its end, or nothing comes for |seconds|.
sub frames {
    my ($client, $seconds) = @_;
    my @frames;
    my $until = time + $seconds;
    while (1) {
        while (length $client->{in} >= 9) {
            my ($high, $length, $type, $flags, $stream) =
                unpack 'CnCCN', $client->{in};
            $length += $high << 16;
            last if length $client->{in} < 9 + $length;
            my $payload = substr $client->{in}, 9, $length;
            substr $client->{in}, 0, 9 + $length, '';
            $client->{socket}->syswrite(frame(SETTINGS, ACK, 0, ''))
                if $type == SETTINGS && !($flags & ACK);
            next if $stream != 1;
            push @frames, { type => $type, flags => $flags,
                payload => $payload };
            return @frames if $type == RST_STREAM
                || $type <= HEADERS && $flags & END_STREAM;
        }
        my $left = $until - time;
        return @frames if $left <= 0;
        my $bits = '';
        vec($bits, fileno $client->{socket}, 1) = 1;
        next if !select $bits, undef, undef, $left;
        $client->{socket}->sysread($client->{in}, 65_536,
            length $client->{in}) or return @frames;
    }
}

# "200" is one byte for HPACK, and each other status nginx sends as text.
sub status {
    my ($head) = grep { $_->{type} == HEADERS } @_;
    return '' if !$head;
    my $first = ord $head->{payload};
    # a change of the table's size may come first
    $first = ord substr $head->{payload}, 1 if ($first & 0xe0) == 0x20;
    return { 0x88 => 200, 0x8c => 400 }->{$first} // sprintf '%02x', $first;
}

sub body { join '', map { $_->{payload} } grep { $_->{type} == DATA } @_ }

FCNG::Hosts->each(only => 'nginx', http2 => 1, sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $body = '';
        $r->note('length', is => $r->env('CONTENT_LENGTH') // '-');
        while (defined(my $piece = $r->read_stdin)) {
            $body .= $piece;
            $r->note('piece', bytes => $piece);
        }
        if ($r->{gone}) {
            $r->note('gone');
            return;
        }
        $r->note('ended');
        return $r->text($body);
    });
    $host->location('/app/', app => $app,
        options => { request_buffering => 'off' });
    $host->start;

    my $try = sub {
        my ($what, $length, $first, $last, $want) = @_;
        $app->forget;
        my $client = client($host->http2_port);
        begin($client, '/app/x', defined $length
            ? ('content-length' => $length) : ());
        data($client, $first, 0);
        if (length $first) {
            ok($app->wait_event('piece', seconds => 3), "$what: a piece");
        }
        else {
            ok($app->wait_event('length', seconds => 3), "$what: begun");
        }
        is($app->wait_event('length')->{is}, $length // '-',
            "$what: CONTENT_LENGTH");
        my @early = frames($client, 0.3);
        is(scalar(grep { $_->{type} <= HEADERS } @early), 0,
            "$what: no answer yet");
        is(scalar $app->events('ended'), 0, "$what: and no end of STDIN");
        data($client, $last, 1);
        my @frames = frames($client, 3);
        is(status(@frames), $want, "$what: the status")
            or diag $host->new_log;
        is(body(@frames), "$first$last", "$what: the body") if $want == 200;
        is(scalar $app->events('ended'), $want == 200 ? 1 : 0,
            "$what: STDIN's end");
        ok($app->wait_event('gone', seconds => 3),
            "$what: the application is told") if $want != 200;
    };
    $try->('of unknown length', undef, 'abc', 'defgh', 200);
    $try->('an end without bytes', undef, 'abc', '', 200);
    $try->('nothing but an end', undef, '', '', 200);
    $try->('of its length', 8, 'abc', 'defgh', 200);
    $try->('its length, and then an end', 3, 'abc', '', 200);
    $try->('no length, and then an end', 0, '', '', 200);
    $try->('more than its length', 3, 'abc', 'd', 400);
    $try->('less than its length', 8, 'abc', 'd', 400);
});
