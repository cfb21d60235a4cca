# SPDX-License-Identifier: BSD-2-Clause
#
# Denials of every kind reach the client as they are: each status, fields that
# may pass and no others, bodies in many records, in memory, in a temporary
# file, up to the limit; and those whose request is still being sent hold no
# connection to the application.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(random_bytes);
use Test::More;
use Time::HiRes qw(sleep time);

my $bytes = random_bytes(300_000, 'denial');
my $mib = random_bytes(1024 * 1024, 'large');

# What is asked for stands in the field Do.
sub decide {
    my ($r) = @_;
    my ($do, $n) = split ' ', $r->env('HTTP_DO') // '';
    return $r->answer("Status: 200\r\nVariable-TEAM: blue\r\nX-Grant: no\r\n"
        . "Set-Cookie: no=1\r\nContent-Type: text/x-grant\r\n\r\nno body")
        if !$do;
    if ($do eq 'status') {
        return $r->answer("Status: $n A reason\r\n"
            . ($n =~ /^30[1-378]/ ? "Location: https://a.example/$n?x=1\r\n"
                : '') . "X-Of: $n\r\n\r\n"
            . ($n =~ /^[23]04$/ ? '' : "body of $n"));
    }
    return $r->answer("Status: 403\r\nConnection: close, X-Secret\r\n"
        . "Keep-Alive: timeout=1\r\nTransfer-Encoding: chunked\r\n"
        . "Upgrade: h2c\r\nTrailer: X\r\nProxy-Connection: close\r\n"
        . "X-Good: yes\r\nETag: \"v\"\r\n"
        . "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        . "Variable-TEAM: red\r\n\r\nplain") if $do eq 'hop';
    if ($do eq 'records') {
        my $head = "Status: 403\r\nContent-Type: x/y\r\n\r\n";
        $r->out(substr $head, 0, 9, '') while length $head;
        for (my $at = 0; $at < length $bytes; $at += $n) {
            $r->out(substr $bytes, $at, $n);
        }
        return $r->end;
    }
    if ($do eq 'mib') {
        $r->out("Status: 403\r\nContent-Type: x/y\r\n\r\n");
        for (1 .. $n) { $r->out($mib) or return $r->die_now }
        return $r->end;
    }
    if ($do eq 'over') {
        $r->out("Status: 403\r\n\r\n");
        for (1 .. 64) { $r->out($mib) or return $r->die_now }
        $r->out('x');
        return $r->end;
    }
    if ($do eq 'silent') {
        $r->conn->wait_closed(10);
        return $r->die_now;
    }
    return $r->die_now;
}

FCNG::Hosts->each(needs => 'protect', sub {
    my ($host) = @_;
    my $auth = FCNG::App->new(request => \&decide);
    my $alone = FCNG::App->new(workers => 1, request => \&decide);
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->body;
        $r->text('served by ' . ($r->env('TEAM') // '-'));
    });
    my %size = (none => ['0', '0'], small => ['1k', '1k'],
        large => ['1m', '1m']);
    $host->location('/app/', app => $app, protect => $auth);
    $host->location("/$_/", app => $app, protect => $auth,
        nginx => "fastcgi_ng_authorizer_buffer_size $size{$_}[0];\n",
        apache => "FastCgiNgAuthorizerBufferSize $size{$_}[1]\n")
        for sort keys %size;
    $host->location('/one/', app => $app, protect => $alone);
    # Time-outs are those of Responders where nothing else is said.
    $host->location('/inherits/', app => $app, protect => $auth,
        options => { read_timeout => '300ms' });
    $host->location('/own/', app => $app, protect => $auth,
        options => { read_timeout => '300ms',
            authorizer_read_timeout => '5s' });
    $host->expect(qr/FCNG0|upstream timed out/);
    $host->start;
    my $client = $host->client;
    my $ask = sub {
        my ($path, $do, $method, %how) = @_;
        $client = $host->client if !$client || $client->{eof};
        my $r = $client->request_on($method // 'GET', $path,
            headers => [Do => $do], seconds => 30, %how);
        $client = undef
            if ($r->{raw_head} // '') =~ /^Connection: close/mi;
        return $r;
    };

    # ---- each status
    for my $status (201, 202, 204, 206, 207, 299, 300, 301, 303, 304, 305,
        307, 308, 399, 400, 402, 403, 405, 407, 408, 409, 410, 411, 412, 413,
        414, 415, 416, 417, 418, 421, 422, 426, 428, 429, 431, 451, 499, 500,
        501, 502, 503, 504, 505, 507, 511, 599) {
        my $body = $status =~ /^[23]04$/ ? '' : "body of $status";
        for my $method ('GET', 'HEAD') {
            my $r = $ask->('/app/x', "status $status", $method);
            is("$r->{status} $r->{body} " . ($r->header('X-Of') // '-'),
                "$status " . ($method eq 'GET' ? $body : '') . " $status",
                "$method: $status");
            is($r->header('Location'), "https://a.example/$status?x=1",
                'its Location') if $status =~ /^30[1-378]/;
        }
        is($ask->('/app/x', '')->{body}, 'served by blue', 'goes on');
    }

    # ---- fields
    my $r = $ask->('/app/x', 'hop');
    is("$r->{status} $r->{body}", '403 plain', 'a body that is not chunked');
    unlike($r->{raw_head}, qr/^(?:Upgrade|Trailer|Proxy-Connection|Variable-.*
        |Keep-Alive:\ timeout=1$|Connection:.*X-Secret)/mix,
        'fields between two hops stay there');
    is(join(' ', map { join ',', $r->header($_) } 'X-Good', 'ETag',
        'Last-Modified'), 'yes "v" Thu, 01 Jan 2026 00:00:00 GMT',
        'others pass');
    $r = $ask->('/app/x', 'hop', 'GET', headers => [Do => 'hop',
        'If-None-Match' => '"v"', 'If-Modified-Since' =>
        'Thu, 01 Jan 2026 00:00:00 GMT', Range => 'bytes=0-1']);
    is("$r->{status} $r->{body}", '403 plain', 'conditions do not turn it');
    $r = $ask->('/app/x', '');
    is($r->{body}, 'served by blue', 'of a grant the variables count');
    unlike($r->{raw_head}, qr/X-Grant|no=1|x-grant/i, 'and nothing else');

    # ---- bodies
    for my $place ('app', 'none', 'small', 'large') {
        for my $size (1000, 65_535) {
            $r = $ask->("/$place/x", "records $size");
            is("$r->{status} " . sha256_hex($r->{body}),
                '403 ' . sha256_hex($bytes), "$place: records of $size");
            is($r->header('Content-Type'), 'x/y', 'its type');
        }
    }
    $r = $ask->('/app/x', 'records 7', 'HEAD');
    is("$r->{status} $r->{body}", '403 ', 'HEAD');
    my $sha = Digest::SHA->new(256);
    $sha->add($mib) for 1 .. 64;
    my $want = $sha->hexdigest;
    $r = $ask->('/app/x', 'mib 64');
    is("$r->{status} " . sha256_hex($r->{body}), "403 $want",
        '64 MiB are the most');
    $r = $ask->('/app/x', 'over');
    is($r->{status}, 502, 'a byte more is a failure');
    unlike($r->{body}, qr/served|\Q@{[substr $mib, 0, 20]}\E/,
        'and nothing of it');
    ok($host->wait_log(qr/FCNG009.*more than 64/), 'which is told');
    is($ask->('/app/x', '')->{body}, 'served by blue', 'goes on');

    # ---- a request that is still on its way
    is($host->get('/one/x')->{status}, 200, 'an application with one process');
    my $slow = $host->client;
    $slow->send(FCNG::HTTP::head('POST', '/one/x', length => 1_000_000,
        headers => [Do => 'mib 1']) . 'x' x 1000);
    ok($alone->wait_event('request', count => 2), 'a denial');
    my $start = time;
    $r = $host->get('/one/x', seconds => 5);
    is("$r->{status} $r->{body}", '200 served by blue',
        'somebody else while the client still sends');
    cmp_ok(time - $start, '<', 3, 'does not wait for that');
    $slow->send('x' x 999_000);
    $r = $slow->response(seconds => 10);
    is("$r->{status} " . sha256_hex($r->{body}), '403 ' . sha256_hex($mib),
        'who has sent it all has the denial');

    # ---- time
    $start = time;
    is($host->get('/inherits/x', headers => [Do => 'silent'])->{status}, 504,
        'read_timeout');
    cmp_ok(time - $start, '<', 3, 'is inherited');
    $start = time;
    is($host->get('/own/x', headers => [Do => 'silent'])->{status}, 504,
        'authorizer_read_timeout');
    cmp_ok(time - $start, '>', 2, 'is an own one');
});
