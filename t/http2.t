# SPDX-License-Identifier: BSD-2-Clause
#
# Clients that speak HTTP/2: bodies, large responses, several streams at
# once, streaming, a stream that is reset.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::HTTP qw(curl nghttp);
use FCNG::Hosts;
use FCNG::Util qw(find_tool random_bytes spew slurp wait_until spawn);
use Test::More;

FCNG::Hosts->each(http2 => 1, sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $do = $r->action;
        if ($do eq 'sum') {
            return $r->text(sha256_hex($r->body));
        }
        if ($do eq 'echo') {
            $r->out("Content-Type: application/octet-stream\r\n\r\n");
            while (defined(my $piece = $r->read_stdin)) {
                $r->out($piece) or return;
            }
            return $r->end;
        }
        if ($do eq 'slow') {
            $r->out("Content-Type: text/plain\r\n\r\nfirst");
            $r->note('waiting');
            my $how = $r->conn->wait_closed(10);
            $r->note('gone', how => $how);
            return $r->die_now;
        }
        return $r->text($r->env('HTTP_COOKIE') . ' '
            . $r->env('SERVER_PROTOCOL') . ' ' . $r->env('HTTP_HOST'));
    });
    $host->location('/app/', app => $app, options =>
        { buffering => 'off', request_buffering => 'off' });
    $host->start;
    my $port = $host->http2_port;
    my $url = "http://127.0.0.1:$port";
    my $body = random_bytes(2_000_000);
    my $file = spew($host->dir . '/tmp/body', $body);
    my @h2 = ('--http2-prior-knowledge');

    my $r = curl(@h2, '-H', 'Cookie: a=1', '-H', 'Cookie: b=2',
        "$url/app/env");
    is($r->{out}, "a=1; b=2 HTTP/2.0 127.0.0.1:$port", 'parameters');
    $r = curl(@h2, '--data-binary', "\@$file", "$url/app/sum");
    is($r->{out}, sha256_hex($body), 'a body with its length');
    $r = curl(@h2, '-T', '-', "$url/app/sum");
    is($r->{out}, sha256_hex(''), 'an empty one without');
    $r = curl(@h2, '-H', 'Content-Length:', '--data-binary', "\@$file",
        "$url/app/sum");
    is($r->{out}, sha256_hex($body), 'a large one without');
    $r = curl(@h2, '--data-binary', "\@$file", '-o',
        $host->dir . '/tmp/back', "$url/app/echo");
    is($r->{exit}, 0, 'both directions at once');
    ok(slurp($host->dir . '/tmp/back') eq $body, 'each byte right');

    # Streams of one connection do not wait for each other.
    SKIP: {
        skip 'nghttp missing', 2 if !find_tool('nghttp');
        $r = nghttp('-m', 8, '-d', $file, "$url/app/sum");
        is($r->{exit}, 0, 'eight streams at once');
        my $sum = sha256_hex($body);
        is(scalar(() = $r->{out} =~ /$sum/g), 8, 'each body right');
    }

    # A client that goes takes its request along.
    $app->forget;
    my $pid = spawn({ log => $host->dir . '/tmp/curl' }, find_tool('curl'),
        '-q', '-sN', '--noproxy', '*', @h2, "$url/app/slow");
    ok($app->wait_event('waiting'), 'a slow one runs');
    ok(wait_until(3, sub { slurp($host->dir . '/tmp/curl') eq 'first' }),
        'its first piece is there');
    FCNG::Util::end_child($pid, 'KILL');
    ok($app->wait_event('gone', seconds => 3), 'the application is told');
});
