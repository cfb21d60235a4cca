# SPDX-License-Identifier: BSD-2-Clause
#
# The head of a response (RFC 3875 section 6): what is passed on, what is
# evaluated, what is refused.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;
use Time::HiRes qw(sleep);

my $type = "Content-Type: text/plain\r\n";

# name => [what the application writes, status, body, {field => value}]
my %good = (
    plain => ["$type\r\nbody", 200, 'body',
        { 'Content-Type' => 'text/plain' }],
    'status 404' => ["Status: 404 Not Found\r\n$type\r\ngone", 404, 'gone'],
    'status alone' => ["Status: 201\r\n$type\r\nx", 201, 'x'],
    'unknown status' => ["Status: 299 Odd\r\n$type\r\nx", 299, 'x'],
    'status last' => ["${type}Status: 410 Gone\r\n\r\nx", 410, 'x'],
    'status line' => ["HTTP/1.1 201 Made\r\n$type\r\nx", 201, 'x'],
    'line feeds' => ["Content-Type: text/plain\nX-A: 1\n\nbody", 200,
        'body', { 'X-A' => '1' }],
    'mixed line ends' => ["${type}X-A: 1\n\r\nbody", 200, 'body',
        { 'X-A' => '1' }],
    'crlf then lf' => ["Content-Type: text/plain\nX-A: 1\r\n\nbody", 200,
        'body', { 'X-A' => '1' }],
    'absolute location' => ["Location: http://example.org/a?b\r\n\r\n", 302,
        undef, { Location => 'http://example.org/a?b' }],
    'location with status' =>
        ["Status: 303 See Other\r\nLocation: http://example.org/x\r\n"
            . "$type\r\nmoved", 303, 'moved',
        { Location => 'http://example.org/x' }],
    'two cookies' => ["${type}Set-Cookie: a=1; Path=/\r\n"
        . "Set-Cookie: b=2\r\n\r\nx", 200, 'x',
        { 'Set-Cookie' => 'a=1; Path=/|b=2' }],
    'right length' => ["${type}Content-Length: 4\r\n\r\nbody", 200, 'body',
        { 'Content-Length' => '4' }],
    'length too small' => ["${type}Content-Length: 2\r\n\r\nbody", 200,
        'bo', { 'Content-Length' => '2' }],
    'length said twice alike' =>
        ["${type}Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody", 200,
        'body', { 'Content-Length' => '4' }],
    'transfer encoding' => ["${type}Transfer-Encoding: gzip\r\n"
        . "Connection: X-Evil\r\nKeep-Alive: 9\r\n\r\nbody", 200, 'body',
        { 'Keep-Alive' => undef }],
    'spaces around' => ["Content-Type:text/plain  \r\nX-A:  \t1 \r\n\r\nx",
        200, 'x', { 'Content-Type' => 'text/plain', 'X-A' => '1' }],
    'high bytes' => ["${type}X-A: \xe4\xff\r\n\r\nx", 200, 'x',
        { 'X-A' => "\xe4\xff" }],
    'empty value' => ["${type}X-A:\r\n\r\nx", 200, 'x', { 'X-A' => '' }],
    'a long field' => ["${type}X-A: " . 'v' x 20_000 . "\r\n\r\nx", 200,
        'x', { 'X-A' => 'v' x 20_000 }],
    'error status' => ["Status: 500 Oops\r\n$type\r\nbroken", 500,
        'broken'],
);

# 64 KiB, its end included, is the largest head.
sub large {
    my ($size) = @_;
    my $head = $type;
    $head .= 'X-' . length($head) . ': ' . 'x' x 990 . "\r\n"
        while length $head < $size - 3000;
    my $rest = $size - 2 - length($head) - length "X-End: \r\n";
    return $head . 'X-End: ' . 'e' x $rest . "\r\n\r\n";
}
$good{'64 KiB of head'} = [large(65_536) . 'x', 200, 'x'];

# name => what the application writes; each is a 502 with a reason
my %bad = (
    'more than 64 KiB' => [large(65_537) . 'x', qr/too large/],
    'a status that is none' => ["Status: abc\r\n$type\r\nx",
        qr/contradictory Status/],
    'a status of two digits' => ["Status: 20\r\n$type\r\nx",
        qr/contradictory Status/],
    'an interim status' => ["Status: 100 Continue\r\n$type\r\nx",
        qr/contradictory Status/],
    'two statuses' => ["Status: 200 OK\r\nStatus: 404 No\r\n$type\r\nx",
        qr/contradictory Status/],
    'a length that is none' => ["${type}Content-Length: 4x\r\n\r\nbody",
        qr/contradictory Content-Length/],
    'a negative length' => ["${type}Content-Length: -4\r\n\r\nbody",
        qr/contradictory Content-Length/],
    'two lengths' => ["${type}Content-Length: 4\r\nContent-Length: 5\r\n\r\n"
        . 'body', qr/contradictory Content-Length/],
    'a name with a space' => ["${type}X A: 1\r\n\r\nx", qr/malformed/],
    'no colon' => ["${type}nonsense\r\n\r\nx", qr/malformed/],
    'a folded line' => ["${type}X-A: 1\r\n 2\r\n\r\nx", qr/malformed/],
    'NUL in a value' => ["${type}X-A: 1\0 2\r\n\r\nx", qr/malformed/],
    'CR in a value' => ["${type}X-A: 1\rX-B: 2\r\n\r\nx", qr/malformed/],
    'a control byte' => ["${type}X-A: 1\x01\r\n\r\nx", qr/malformed/],
    'no end of the head' => [$type, qr/before the head .* was complete/],
    'nothing at all' => ['', qr/before the head .* was complete/],
);

my @names = (sort(keys %good), sort keys %bad);
my %index = map { $names[$_] => $_ } 0 .. $#names;

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(quiet => 1, request => sub {
        my ($r) = @_;
        my ($how, $n) = $r->action =~ /^([a-z]+)(\d*)$/;
        return $r->answer(($good{$names[$n]} || $bad{$names[$n]})->[0])
            if $how eq 'case';
        if ($how eq 'split') {
            # Two records, in two writes.
            my $text = $good{'location with status'}[0];
            $r->out(substr $text, 0, $n) if $n;
            sleep 0.001;
            return $r->answer(substr $text, $n);
        }
        if ($how eq 'bytes') {
            my $text = $good{'location with status'}[0];
            $r->out($text, 1);
            return $r->end;
        }
        if ($how eq 'short') {
            return $r->answer("${type}Content-Length: 10\r\n\r\nbody");
        }
        if ($how eq 'local') {
            return $r->answer("Location: /index.html\r\n\r\n");
        }
        if ($how eq 'localquery') {
            return $r->answer("Location: /app/query?a=b\r\n\r\n");
        }
        if ($how eq 'query') {
            return $r->text($r->env('REQUEST_METHOD') . ' '
                . $r->env('QUERY_STRING'));
        }
        if ($how eq 'loop') {
            $r->note('loop');
            return $r->answer("Location: /app/loop\r\n\r\n");
        }
        # A head of |n| bytes.
        return $r->answer($type . 'X-Long: ' . 'x' x ($n - length($type) - 12)
            . "\r\n\r\nbody") if $how eq 'head';
        return $r->answer("Status: $n\r\n${type}ETag: \"x\"\r\n"
            . ($n == 204 ? '' : "Content-Length: 4\r\n") . "\r\nbody")
            if $how eq 'bodiless';
    });
    $host->location('/app/', app => $app);
    $host->location('/small/', app => $app,
        options => { header_max_size => 256 });
    $host->start;

    for my $name (sort keys %good) {
        my (undef, $status, $body, $fields) = @{ $good{$name} };
        my $r = $host->get("/app/case$index{$name}", seconds => 5);
        is($r->{status}, $status, "$name: status");
        is($r->{body}, $body, "$name: body") if defined $body;
        ok($r->{complete}, "$name: complete");
        for my $field (sort keys %{ $fields || {} }) {
            my @values = $r->header($field);
            is(@values ? join('|', @values) : undef, $fields->{$field},
                "$name: $field");
        }
        is(scalar grep({ lc eq 'status' } @{ $r->{headers} }), 0,
            "$name: no field Status");
    }
    for my $name (sort keys %bad) {
        $host->mark_log;
        my $r = $host->get("/app/case$index{$name}", seconds => 5);
        is($r->{status}, 502, "$name: status");
        like($host->wait_log(qr/FCNG008/), $bad{$name}[1],
            "$name: the log says why");
        unlike($r->{body}, qr/^x$/m, "$name: nothing of it gets out");
    }

    is($host->get('/small/head256')->{status}, 200, 'a head of 256 bytes');
    is($host->get('/small/head257')->{status}, 502, 'one more than allowed');

    my $client = $host->client;
    my $text = $good{'location with status'}[0];
    my @wrong;
    for my $at (0 .. length($text) - 1) {
        my $r = $client->request_on('GET', "/app/split$at", seconds => 5);
        push @wrong, $at if $r->{status} != 303 || $r->{body} ne 'moved';
    }
    is("@wrong", '', 'a head split at any byte');
    my $r = $client->request_on('GET', '/app/bytes', seconds => 5);
    is("$r->{status} $r->{body}", '303 moved', 'in records of one byte');
    $client->close;

    $r = $host->get('/app/short', seconds => 5);
    # Nothing of it may have gone out yet: then it is an error as any other.
    ok(!$r->{complete} || $r->{status} == 502,
        'less than Content-Length is broken off');
    like($host->wait_log(qr/FCNG009/), qr/less than its Content-Length/,
        'and told');

    # After a response without a body the connection carries the next one.
    $client = $host->client;
    for my $n (1 .. 2) {
        $r = $client->request_on('HEAD', "/app/case$index{'right length'}",
            seconds => 5);
        is($r->{status}, 200, 'HEAD');
        is($r->header('Content-Length'), 4, 'with Content-Length');
        for my $status (204, 304) {
            $r = $client->request_on('GET', "/app/bodiless$status",
                seconds => 5);
            is($r->{status}, $status, "status $status");
        }
        $r = $client->request_on('GET', "/app/case$index{plain}",
            seconds => 5);
        is($r->{body}, 'body', 'the next response is its own');
    }
    $client->close;

    $r = $host->get('/app/local');
    is("$r->{status} $r->{body}", "200 It works.\n", 'a local redirect');
    is($r->header('Location'), undef, 'is the server\'s own affair');
    $r = $host->post('/app/localquery', 'body');
    is($r->{body}, 'GET a=b', 'with its query, by GET');
    $host->expect(qr/AH00124|redirection cycle|exceeded the limit/);
    $r = $host->get('/app/loop', seconds => 5);
    is($r->{status}, 500, 'a loop of local redirects ends');
    cmp_ok(scalar $app->events('loop'), '<=', 11, 'after ten rounds');
});
