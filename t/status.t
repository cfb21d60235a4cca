# SPDX-License-Identifier: BSD-2-Clause
#
# The status page: after traffic that is known its numbers add up, over all
# processes, and they outlive those.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(free_port wait_until);
use FCNG::Wire qw(record end_request);
use Test::More;
use Time::HiRes qw(time);


my @gauges = qw(connections connecting busy idle waiting active streams);
my @outcomes = qw(complete aborted stale timeouts closed_early
    protocol_errors refused bad_heads other_errors);
my @counters = (qw(opened reused requests queued queue_full queue_timeout
    connect_errors retried), @outcomes);

my %do = (
    bad => sub { $_[0]->answer("no head\n\nbody") },
    short => sub { $_[0]->answer("Content-Length: 9\n\nbody") },
    role => sub { $_[0]->end(0, FCNG::Wire::UNKNOWN_ROLE) },
    overloaded => sub { $_[0]->end(0, FCNG::Wire::OVERLOADED) },
    garbage => sub { $_[0]->send('no FastCGI at all'); $_[0]->die_now },
    dies => sub { $_[0]->die_now },
    stalls => sub { $_[0]->conn->wait_closed(5); $_[0]->die_now },
    hold => sub {
        $_[0]->note('holding');
        $_[0]->wait_gate('release', 10);
        $_[0]->text('held');
    },
    # Takes the second request of a connection and goes.
    drops => sub {
        $_[0]{n} > 1 ? $_[0]->die_now : $_[0]->text('kept');
    },
    last => sub { $_[0]->text('last'); $_[0]->conn->close },
);

sub app {
    return FCNG::App->new(@_, request => sub {
        my ($r) = @_;
        $r->body;
        ($do{$r->action} // sub { $r->text('ok') })->($r);
    });
}

# The counters that are not 0, as text; every member is there, and each
# attempt that had a connection ended in one way.
sub counted {
    my ($row) = @_;
    my @missing = grep { !defined $row->{$_} } @gauges, @counters;
    is("@missing", '', 'every member is there');
    my $ends = 0;
    $ends += $row->{$_} for @outcomes;
    is($ends, $row->{requests}, 'each request has one end');
    is($row->{opened} + $row->{reused}, $row->{requests},
        'opened or reused');
    is($row->{connecting} + $row->{busy} + $row->{idle}, $row->{connections},
        'each connection has a state');
    return join ' ', map { "$_=$row->{$_}" } grep { $row->{$_} } @counters;
}

# Numbers move until the last request has been put away.
sub at_rest {
    my ($host, $address) = @_;
    my $row;
    wait_until(3, sub {
        $row = $host->status->{$address};
        return $row && !$row->{active} && !$row->{waiting};
    });
    return $row // {};
}

sub page {
    my ($host) = @_;
    my $r = $host->get('/status');
    is($r->{status}, 200, 'the page');
    like($r->header('Content-Type'), qr{^application/json}, 'is JSON');
    is($r->header('Cache-Control'), 'no-store', 'and never stored');
    like($r->{body}, qr/\A\{"version":"\d.*\]\}\n\z/s, 'a whole one');
    $r = $host->request('HEAD', '/status');
    is($r->{status}, 200, 'HEAD');
    is($r->{body}, '', 'has no body');
    for my $method (qw(POST PUT DELETE OPTIONS)) {
        $r = $host->request($method, '/status', body => 'x');
        is($r->{status}, 405, "$method is not allowed");
    }
}

# The page of mod_status has a part of it.
sub in_mod_status {
    my ($host, $address) = @_;
    my $auto = $host->get('/server-status?auto')->{body};
    like($auto, qr/^FastCgiNg\[\d+\]Address: \Q$address\E$/m,
        'mod_status for programs');
    like($auto, qr/^FastCgiNg\[\d+\]Requests: [1-9]/m, 'with numbers');
    like($host->get('/server-status')->{body}, qr/<td>\Q$address\E</,
        'and in its page');
}

sub ends {
    my ($host, $apps, $closed) = @_;
    my %want = (
        x => 'complete', bad => 'bad_heads', short => 'bad_heads',
        role => 'refused', garbage => 'protocol_errors',
        dies => 'closed_early', stalls => 'timeouts',
    );
    for my $do (sort keys %want) {
        $host->post("/$do/$do", 'a body', seconds => 5);
        is(counted(at_rest($host, $apps->{$do}->address)),
            "opened=1 requests=1 $want{$do}=1", "$do: $want{$do}");
    }
    $host->post('/overloaded/overloaded', 'x');
    is(counted(at_rest($host, $apps->{overloaded}->address)),
        'opened=1 requests=1 refused=1', 'OVERLOADED: refused, once');
    $host->get('/nobody/x');
    is(counted(at_rest($host, $closed)), 'connect_errors=1',
        'nobody listens: connect_errors');

    # Connections that are dead when they are used again.
    my $client = $host->client;
    $client->request_on('GET', '/drops/drops');
    is($client->request_on('GET', '/drops/drops')->{status}, 200,
        'one that closes instead of answering');
    $client->close;
    is(counted(at_rest($host, $apps->{drops}->address)),
        'opened=2 reused=1 requests=3 complete=2 stale=1', 'is stale');

    # Clients that leave.
    $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', '/leaves/stalls'));
    ok($apps->{leaves}->wait_event('request'), 'a request is served');
    $client->close;
    ok(wait_until(3, sub { my ($a, $b) = $apps->{leaves}->counts; $a == $b }),
        'its client leaves');
    is(counted(at_rest($host, $apps->{leaves}->address)),
        'opened=1 requests=1 aborted=1', 'aborted');
}

# One connection, room for two that wait.
sub queue {
    my ($host, $app) = @_;
    my @clients = map { $host->client } 1 .. 3;
    $clients[0]->send(FCNG::HTTP::head('GET', '/queue/hold'));
    ok($app->wait_event('holding'), 'the connection is taken');
    $_->send(FCNG::HTTP::head('GET', '/queue/x')) for @clients[1, 2];
    my $row;
    ok(wait_until(3, sub {
        $row = $host->status->{$app->address};
        return $row->{waiting} == 2;
    }), 'two are waiting');
    is($row->{active}, 1, 'one is active');
    is($row->{connections}, 1, 'on one connection');
    is($row->{busy}, 1, 'which is busy');
    is($host->get('/queue/x')->{status}, 503, 'the next one is refused');
    $clients[2]->close;
    ok(wait_until(3, sub {
        $host->status->{$app->address}{waiting} == 1;
    }), 'one leaves the queue');
    $app->open_gate('release');
    is($clients[$_]->response(seconds => 5)->{status}, 200, 'served')
        for 0, 1;
    $_->close for @clients;
    is(counted(at_rest($host, $app->address)),
        'opened=1 reused=1 requests=2 queued=2 queue_full=1 complete=2',
        'all of it is counted');
    $app->close_gate('release');
    my $holder = $host->client;
    $holder->send(FCNG::HTTP::head('GET', '/slow/hold'));
    ok($app->wait_event('holding', count => 2), 'taken again');
    is($host->get('/slow/x', seconds => 5)->{status}, 503, 'too slow');
    $app->open_gate('release');
    $holder->response(seconds => 5);
    $holder->close;
    is(at_rest($host, $app->address)->{queue_timeout}, 1, 'queue_timeout');

    # Ten leave, one after another: each frees its place at once.
    $app->close_gate('release');
    $holder = $host->client;
    $holder->send(FCNG::HTTP::head('GET', '/queue/hold'));
    ok($app->wait_event('holding', count => 3), 'taken once more');
    my $took = 0;
    for my $n (1 .. 10) {
        my $client = $host->client;
        $client->send(FCNG::HTTP::head('GET', '/queue/x'));
        my $waits = sub { $host->status->{$app->address}{waiting} };
        wait_until(3, sub { $waits->() == 1 }) or diag("$n does not wait");
        $client->close;
        my $from = time;
        wait_until(3, sub { $waits->() == 0 }) or diag("$n does not leave");
        $took += time - $from;
    }
    cmp_ok($took, '<', 0.5, sprintf 'ten leave in %.3f s', $took);
    $app->open_gate('release');
    is($holder->response(seconds => 5)->{status}, 200, 'served');
    $holder->close;
}

# A worker of nginx knows an address when it has been asked for it.
sub is_there {
    my ($host, $row, $what) = @_;
    my $workers = () = $host->workers;
    return cmp_ok($row->{processes}, '<=', $workers, $what)
        if $host->is_nginx;
    return is($row->{processes}, $workers, $what);
}

# What becomes of the numbers of processes that end.
sub processes {
    my ($host) = @_;
    my $app = app();
    $host->location('/app/', app => $app, pool => { idle_timeout => '4s' });
    # The same address and limits, written in another way.
    $host->location('/same/', address => ($host->is_apache ? 'unix:/' : 'unix:')
        . $app->path, pool => { idle_timeout => '4000ms' });
    $host->status_at('/status');
    $host->start;
    my $address = $app->address;
    my @clients = map { $host->client } 1 .. 3;
    for my $client (@clients) {
        $client->request_on('GET', '/app/x') for 1 .. 5;
        $client->request_on('GET', '/same/x') for 1 .. 5;
    }
    my $row = at_rest($host, $address);
    is(keys %{ $host->status }, 1, 'one address, however it is written');
    like(counted($row), qr/requests=30 complete=30/, 'all processes count');
    # A worker of nginx may have served all of them, by one connection; and
    # where the machine is slow, idle ones give way to one that is new.
    my ($opened, $closed) = $app->counts;
    is($row->{connections}, $opened - $closed,
        'connections that the application sees');
    cmp_ok($row->{connections}, '>=', 1, 'at least one');
    is($row->{idle}, $row->{connections}, 'which are idle');
    is_there($host, $row, 'every process is there');
    $_->close for @clients;

    ok($host->reload, 'reload');
    $row = at_rest($host, $address);
    is_there($host, $row, 'those of now are there');
    is($row->{complete}, 30, 'nothing is forgotten');
    is($row->{connections}, 0, 'nor held');
    $host->get('/app/x');
    my %old = map { $_ => 1 } $host->workers;
    $host->expect(qr/exit signal Killed|exited on signal 9/);
    kill KILL => keys %old;
    ok(wait_until(10, sub {
        my @now = $host->workers;
        return @now && !(grep { $old{$_} } @now) && $host->answers;
    }), 'all processes are killed, others take their places');
    $row = at_rest($host, $address);
    is($row->{complete}, 31, 'the numbers outlive them');
    is($row->{connections}, 0, 'their connections are not counted');
    is_there($host, $row, 'nor the processes');
    $host->baseline;
}

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my %apps = map { $_ => app() } qw(x bad short role garbage dies stalls
        overloaded drops leaves);
    my $queue = app();
    my $port = free_port();
    $host->location("/$_/", app => $apps{$_}, options => {
        read_timeout => $_ eq 'stalls' ? '300ms' : '10s' },
        pool => { idle_timeout => '4s' }) for sort keys %apps;
    $host->location('/nobody/', address => "127.0.0.1:$port");
    $host->location('/queue/', app => $queue,
        pool => { max_connections => 1, max_queue => 2 });
    $host->location('/slow/', app => $queue,
        pool => { max_connections => 1, queue_timeout => '200ms' });
    $host->status_at('/status');
    $host->server(apache => "<Location \"/server-status\">\n"
        . "SetHandler server-status\n</Location>");
    $host->start;
    page($host);
    ends($host, \%apps, "127.0.0.1:$port");
    in_mod_status($host, $apps{x}->address) if $host->is_apache;
    queue($host, $queue);

    # Apache's processes serve one request each then.
    $host->another('several processes', workers => 4, mpm => 'prefork',
        \&processes) if $host->reloads;
});
