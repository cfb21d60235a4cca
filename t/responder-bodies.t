# SPDX-License-Identifier: BSD-2-Clause
#
# Request bodies of every awkward size, with Content-Length and chunked,
# arrive whole: equal SHA-256, the right CONTENT_LENGTH, STDIN ended.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(random_bytes);
use Test::More;

my $mib = 1 << 20;

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $sha = Digest::SHA->new(256);
        my $size = 0;
        while (defined(my $piece = $r->read_stdin)) {
            $sha->add($piece);
            $size += length $piece;
        }
        $r->note('body', size => $size, ended => $r->{stdin_ended});
        $r->text($sha->hexdigest);
    });
    $host->location('/app/', app => $app);
    $host->location('/stream/', app => $app,
        options => { request_buffering => 'off' });
    $host->start;

    my $check = sub {
        my ($path, $body, $size, $sha, %how) = @_;
        my $what = "$size bytes" . ($how{chunked} ? ', chunked' : '')
            . " to $path";
        $app->forget;
        my $r = $host->post($path, $body, seconds => 60, %how);
        is($r->{status}, 200, "$what: status");
        is($r->{body}, $sha, "$what: SHA-256");
        my $seen = $app->wait_event('request') || {};
        my $length = $seen->{env}{CONTENT_LENGTH};
        if ($path eq '/app/') {
            is($length, $size, "P11: $what: CONTENT_LENGTH");
        }
        elsif (!$how{chunked}) {
            is($length, $size, "$what: CONTENT_LENGTH");
        }
        my $got = $app->wait_event('body') || {};
        ok($got->{ended}, "$what: STDIN ended");
    };

    for my $size (0, 1, 65_535, 65_536, 200_000) {
        my $body = random_bytes($size);
        my $sha = sha256_hex($body);
        for my $path ('/app/', '/stream/') {
            $check->($path, $body, $size, $sha);
            $check->($path, $body, $size, $sha, chunked => 1);
        }
    }

    # 64 MiB, made and hashed while it is sent.
    my $block = random_bytes(262_144);
    my $sha = Digest::SHA->new(256);
    $sha->add($block) for 1 .. 256;
    my $digest = $sha->hexdigest;
    my $pieces = sub { my $n = 256; sub { $n-- > 0 ? $block : undef } };
    for my $path ('/app/', '/stream/') {
        $check->($path, $pieces->(), 64 * $mib, $digest,
            length => 64 * $mib);
        $check->($path, $pieces->(), 64 * $mib, $digest, chunked => 1);
    }

    # A kept client connection carries the next request after a body.
    my $client = $host->client;
    for my $n (1 .. 3) {
        my $body = random_bytes(100_000, "kept $n");
        my $r = $client->request_on('POST', '/app/', body => $body);
        is($r->{body}, sha256_hex($body), "request $n of one connection");
    }
    $client->close;

    # 100-continue: asked for, then sent.
    for my $path ('/app/', '/stream/') {
        for my $chunked (0, 1) {
            $client = $host->client;
            $client->send(FCNG::HTTP::head('POST', $path, close => 1,
                headers => [Expect => '100-continue'],
                $chunked ? (chunked => 1) : (length => 5)));
            my $what = $path . ($chunked ? ', chunked' : '');
            my $first = $client->response(interim => 1, seconds => 5,
                part => 1);
            is($first->{status}, 100, "$what: the server says: continue");
            is(length $client->{in}, 0, "$what: and nothing else");
            $client->send($chunked ? FCNG::HTTP::chunk('hello') . "0\r\n\r\n"
                : 'hello');
            is($client->response->{body}, sha256_hex('hello'),
                "$what: the body comes");
            $client->close;
        }
    }
});
