# SPDX-License-Identifier: BSD-2-Clause
#
# Connections to the application: kept, counted, bounded, queued for, closed
# by time without any traffic.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(wait_until);
use Test::More;
use Time::HiRes qw(sleep time);

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my %app = map { $_ => FCNG::App->new(request => sub {
        my ($r) = @_;
        if ($r->action eq 'hold') {
            $r->note('holding');
            $r->wait_gate('release', 10);
        }
        $r->text('ok');
    }) } qw(default none three life idle one queue short first second);
    my %pool = (
        none => { max_idle => 0 },
        three => { max_requests => 3 },
        life => { max_lifetime => '400ms', idle_timeout => '20s' },
        idle => { idle_timeout => '300ms' },
        one => { max_connections => 1 },
        queue => { max_connections => 1, max_queue => 0 },
        short => { max_connections => 1, queue_timeout => '300ms' },
    );
    $host->location("/$_/", app => $app{$_}, pool => $pool{$_})
        for qw(default none three life idle one queue short);
    $host->location('/two/', apps => [@app{qw(first second)}]);
    $host->start;

    my $client = $host->client;
    my $ask = sub {
        my ($path, $times) = @_;
        my $ok = 0;
        $ok += $client->request_on('GET', $path)->{status} == 200
            for 1 .. $times;
        is($ok, $times, "$path: $times requests");
    };
    $ask->('/default/x', 10);
    is(($app{default}->counts)[0], 1, 'on one connection');
    my @seen = $app{default}->events('request');
    is((grep { !($_->{flags} & 1) } @seen), 0, 'all with FCGI_KEEP_CONN');
    ok(wait_until(3, sub { ($app{default}->counts)[1] == 1 }),
        'which is closed without traffic');

    $ask->('/none/x', 5);
    is(($app{none}->counts)[0], 5, 'max_idle=0: a connection a request');
    is((grep { $_->{flags} & 1 } $app{none}->events('request')), 0,
        'without FCGI_KEEP_CONN');

    $ask->('/three/x', 7);
    is(($app{three}->counts)[0], 3, 'max_requests=3: three for seven');

    # Each is used for its time, however busy it is, and closed when that is
    # over, however long idle ones may be kept.
    my $ok = 0;
    for (1 .. 15) {
        $ok += $client->request_on('GET', '/life/x')->{status} == 200;
        sleep 0.1;
    }
    is($ok, 15, 'max_lifetime=400ms: fifteen requests in 1.5 s');
    my ($lives) = $app{life}->counts;
    cmp_ok($lives, '>=', 3, "on $lives connections");
    cmp_ok($lives, '<=', 6, 'each for several of them');
    ok(wait_until(2, sub { ($app{life}->counts)[1] == $lives }),
        'the last one is closed too');
    my %from = map { $_->{conn} => $_->{at} } $app{life}->events('accept');
    my ($oldest) = sort { $b <=> $a } map { $_->{at} - $from{$_->{conn}} }
        $app{life}->events('request');
    cmp_ok($oldest, '<', 0.6, sprintf 'none is used after %.3f s', $oldest);

    $ask->('/idle/x', 1);
    my $start = time;
    ok(wait_until(2, sub { ($app{idle}->counts)[1] == 1 }),
        'idle_timeout=300ms');
    my ($served) = $app{idle}->events('request');
    my ($close) = $app{idle}->events('close');
    cmp_ok($close->{at} - $served->{at}, '>', 0.25, 'not before');
    cmp_ok($close->{at} - $served->{at}, '<', 0.9, 'not long after');

    # One connection: the others wait in turn.
    my @clients = map { $host->client } 1 .. 4;
    $_->send(FCNG::HTTP::head('GET', '/one/hold')) for @clients;
    ok($app{one}->wait_event('holding'), 'one is served');
    $app{one}->open_gate('release');
    is($_->response(seconds => 5)->{status}, 200, 'and each of the four')
        for @clients;
    is(($app{one}->counts)[0], 1, 'on one connection');
    $_->close for @clients;

    # No queue: refused at once.
    my $holder = $host->client;
    $holder->send(FCNG::HTTP::head('GET', '/queue/hold'));
    ok($app{queue}->wait_event('holding'), 'the connection is taken');
    $start = time;
    $host->mark_log;
    my $r = $host->get('/queue/x', seconds => 5);
    is($r->{status}, 503, 'max_queue=0: 503');
    cmp_ok(time - $start, '<', 1, 'at once');
    is($r->header('Retry-After'), 1, 'with Retry-After');
    like($host->wait_log(qr/FCNG012/), qr/max_connections.*max_queue/,
        'the log says why');
    $app{queue}->open_gate('release');
    is($holder->response(seconds => 5)->{status}, 200, 'the other is served');
    $holder->close;
    is($host->get('/queue/x')->{status}, 200, 'and the next one');

    # A queue that is too slow.
    $holder = $host->client;
    $holder->send(FCNG::HTTP::head('GET', '/short/hold'));
    ok($app{short}->wait_event('holding'), 'the connection is taken');
    $start = time;
    $host->mark_log;
    $r = $host->get('/short/x', seconds => 5);
    is($r->{status}, 503, 'queue_timeout=300ms: 503');
    cmp_ok(time - $start, '>', 0.25, 'not before');
    cmp_ok(time - $start, '<', 1.5, 'not long after');
    is($r->header('Retry-After'), 1, 'with Retry-After');
    like($host->wait_log(qr/FCNG012/), qr/queue_timeout/,
        'the log says why');
    # A client that leaves the queue takes no turn.
    my $leaver = $host->client;
    $leaver->send(FCNG::HTTP::head('GET', '/short/left'));
    $leaver->close;
    $app{short}->open_gate('release');
    is($holder->response(seconds => 5)->{status}, 200, 'the other is served');
    $holder->close;
    is($host->get('/short/x')->{status}, 200, 'and the next one');

    # Two servers: both are used; when one goes the other serves.
    $ask->('/two/x', 10);
    $_->stop for $app{first};
    $ok = 0;
    $ok += $host->get('/two/x', seconds => 5)->{status} == 200 for 1 .. 6;
    is($ok, 6, 'a server that is gone is passed over');
    $client->close;
    # It was ended from outside: its connections cannot be counted.
    $host->{apps} = [grep { $_ != $app{first} } @{ $host->{apps} }];
});
