# SPDX-License-Identifier: BSD-2-Clause
#
# Bodies around an authorizer: of requests, which it never sees and which reach
# whoever serves the request, and of denials, which reach the client whole over
# HTTP/1.0, 1.1 and 2, however slowly it reads; both roles on one connection.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::HTTP qw(curl);
use FCNG::Hosts;
use FCNG::Load;
use FCNG::Util qw(random_bytes slurp wait_until);
use Test::More;
use Time::HiRes qw(sleep);

my $large = random_bytes(10 * 1024 * 1024, 'denial');
my $piece = random_bytes(1024 * 1024, 'piece');

sub decide {
    my ($r) = @_;
    $r->note('stdin', bytes => length $r->body);
    my $do = $r->env('HTTP_DO') // '';
    return $r->answer("Status: 403\r\nContent-Type: x/large\r\n\r\n$large")
        if $do eq 'large';
    sleep 0.5 if $do eq 'late';
    return $r->answer("Status: 403\r\nContent-Length: 6\r\n\r\ndenied")
        if $do eq '403' || $do eq 'late';
    return $r->answer("Status: 200\r\nVariable-TEAM: blue\r\n\r\n");
}

sub serve {
    my ($r) = @_;
    my $sha = Digest::SHA->new(256);
    my $n = 0;
    while (defined(my $bytes = $r->read_stdin)) {
        $sha->add($bytes);
        $n += length $bytes;
    }
    return $r->text("$n " . $sha->hexdigest . ' ' . $r->env('TEAM'));
}

FCNG::Hosts->each(needs => 'protect', http2 => 1, sub {
    my ($host) = @_;
    my $auth = FCNG::App->new(request => \&decide);
    my $app = FCNG::App->new(request => \&serve);
    my $one = FCNG::App->new(workers => 1, quiet => 1, request => sub {
        my ($r) = @_;
        return $r->{role} == 2 ? decide($r) : serve($r);
    });
    $host->file('site/file', 'the file');
    $host->protect('/site/', app => $auth);
    $host->location('/app/', app => $app, protect => $auth);
    $host->location('/stream/', app => $app, protect => $auth,
        options => { request_buffering => 'off' });
    $host->location('/one/', app => $one, protect => $one,
        pool => { max_connections => 1 });
    $host->location('/three/', app => $one, protect => [$one, $one],
        pool => { max_connections => 1 });
    $host->start;

    # ---- the request's body
    my $sha = Digest::SHA->new(256);
    $sha->add($piece) for 1 .. 64;
    my $want = 64 * 1024 * 1024 . ' ' . $sha->hexdigest . ' blue';
    for my $path ('/app/x', '/stream/x') {
        my $n = 0;
        my $r = $host->request('POST', $path, length => 64 * 1024 * 1024,
            body => sub { $n++ < 64 ? $piece : undef }, seconds => 60);
        is("$r->{status} $r->{body}", "200 $want",
            "$path: 64 MiB behind an authorizer");
        $n = 0;
        $r = $host->request('POST', $path, chunked => 1, body =>
            sub { $n++ < 3 ? substr $piece, 0, 100_000 : undef });
        like($r->{body}, qr/^300000 .* blue$/, "$path: a chunked body");
    }
    ok(!(grep { $_->{bytes} } $auth->events('stdin')),
        'of which the authorizer got nothing');

    # ---- a denial while the body is not read
    my $client = $host->client;
    for my $do ('403', '', '403', 'large', '') {
        my $r = $client->request_on('POST', '/app/x',
            body => substr($piece, 0, 300_000), headers => [Do => $do]);
        is($r->{status}, $do eq '' ? 200 : 403, "POST on a kept connection, "
            . ($do || 'granted'));
        last if defined $client->{eof}
            || ($r->{raw_head} // '') =~ /^Connection: close/mi;
    }
    $client->close;
    my $r = $host->request('POST', '/app/x', body => 'xy', headers =>
        [Do => '403', Expect => '100-continue']);
    is("$r->{status} $r->{body}", '403 denied', 'Expect: 100-continue');

    # ---- HEAD, HTTP/1.0
    $client = $host->client;
    $r = $client->request_on('HEAD', '/site/file', headers => [Do => '403']);
    is("$r->{status} $r->{body}", '403 ', 'HEAD');
    is($r->header('Content-Length'), 6, 'its length');
    $r = $client->request_on('GET', '/site/file', headers => [Do => '403']);
    is($r->{body}, 'denied', 'GET behind it');
    $r = $client->request_on('HEAD', '/site/file', headers =>
        [Do => 'large']);
    is("$r->{status} $r->{body}", '403 ', 'HEAD of a large one');
    $client->close;
    $client = $host->client;
    $client->send("GET /site/file HTTP/1.0\r\nDo: large\r\n\r\n");
    $r = $client->response;
    is("$r->{status} " . sha256_hex($r->{body}), '403 ' . sha256_hex($large),
        'HTTP/1.0');
    $client->close;

    # ---- a client that reads slowly holds nothing
    $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', '/site/file', close => 1,
        headers => [Do => 'large']));
    select undef, undef, undef, 0.5;
    my $before = ($auth->counts)[0];
    is($host->get('/site/file')->{body}, 'the file',
        'another request meanwhile');
    is(($auth->counts)[0], $before,
        'on the connection that the denial came by');
    $r = $client->response(part => 1);
    for (1 .. 8) {
        select undef, undef, undef, 0.05;
        $client->rest(bytes => $r->{size} + 100_000);
    }
    $client->rest;
    is("$r->{status} " . sha256_hex($r->{body}), '403 ' . sha256_hex($large),
        'the slow client has all of it');

    # ---- HTTP/2
    my $url = 'http://127.0.0.1:' . $host->http2_port;
    my @h2 = ('--http2-prior-knowledge', '-w', '%{http_code}');
    my $to = $host->dir . '/tmp/denial';
    my $c = curl(@h2, '-H', 'Do: large', '-o', $to, "$url/site/file");
    is("$c->{exit} $c->{out} " . sha256_hex(slurp($to)),
        '0 403 ' . sha256_hex($large), 'HTTP/2: 10 MiB');
    $c = curl(@h2, '-H', 'Do: large', '--limit-rate', '8m', '-o', $to,
        "$url/app/x");
    is("$c->{exit} $c->{out} " . sha256_hex(slurp($to)),
        '0 403 ' . sha256_hex($large), 'slowly');
    # One that is larger, or still on its way, is nginx's to reset, which not
    # every client understands.
    $c = curl(@h2, '-H', 'Do: late', '--data-binary', 'x' x 10_000,
        "$url/app/x");
    is("$c->{exit} $c->{out}", '0 denied403', 'a body that is not read');
    $c = curl(@h2, '--data-binary', '@' . $to, "$url/app/x");
    like($c->{out}, qr/^10485760 \S+ blue200$/, 'one that is');
    $c = curl(@h2, '-H', 'Do: 403', '-I', "$url/site/file");
    like($c->{out}, qr/^HTTP\/2 403.*^content-length: 6/msi, 'HEAD');

    # ---- both roles on one connection: no request waits for itself
    for my $n (1 .. 10) {
        my $r = $n % 2 ? $host->get('/one/x') : $host->post('/one/x', 'body');
        is($r->{status}, 200, "max_connections=1: $n") or last;
    }
    is($host->post('/three/x', 'body')->{body} =~ s/ .* / /r, '4 blue',
        'two authorizers and the Responder');
    my $load = FCNG::Load->start(6, sub {
        my $r = $host->get('/one/x', seconds => 20);
        return $r->{status} == 200 ? '' : "status $r->{status}";
    });
    ok($load->more(60), 'six clients at once');
    my (undef, @faults) = $load->stop;
    is(join("\n", @faults), '', 'all are served');
});
