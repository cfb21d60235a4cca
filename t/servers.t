# SPDX-License-Identifier: BSD-2-Clause
#
# Several servers in one pool: the least busy one is asked, one with room
# before anything waits; one that fails is left alone for a time, then tried
# by one request; the last one is never locked out.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(wait_until spew);
use List::Util qw(sum);
use Test::More;
use Time::HiRes qw(sleep time);

my @hosts = (only => 'apache');

# A server that says its name; "hold" waits for the gate, "stall" stands in
# the way of every request while it is there.
sub app {
    my ($name, %more) = @_;
    my $app;
    return FCNG::App->new(%more, request => sub {
        my ($r) = @_;
        $r->body;
        my $dir = $r->conn->{app}{dir};
        if (-e "$dir/gates/stall") {
            $r->note('stalled');
            $r->conn->wait_closed(10);
            return $r->die_now;
        }
        return $r->die_now if -e "$dir/gates/die";
        return $r->end(0, FCNG::Wire::OVERLOADED)
            if -e "$dir/gates/overloaded";
        $r->note('holding'), $r->wait_gate('release', 10)
            if $r->action eq 'hold';
        $r->text($name);
    });
}

# Who answered so many requests, one after another: "a=3 b=3".
sub answers {
    my ($host, $path, $times) = @_;
    my %by;
    for (1 .. $times) {
        my $r = $host->get($path, seconds => 10);
        $by{$r->{status} == 200 ? $r->{body} : $r->{status}}++;
    }
    return join ' ', map { "$_=$by{$_}" } sort keys %by;
}

sub two {
    my ($host, %how) = @_;
    my ($a, $b) = (app('a'), app('b'));
    $host->location('/app/', apps => [$a, $b], %how);
    $host->status_at('/status');
    $host->start;
    return ($a, $b);
}

# Both ended from outside: their connections cannot be counted.
sub uncounted { $_[0]{apps} = [] }

sub least_busy {
    my ($host) = @_;
    my ($a, $b) = two($host, pool => { idle_timeout => '2s' });
    is(answers($host, '/app/x', 8), 'a=4 b=4', 'one after another: by turn');
    my @clients = map { $host->client } 1 .. 6;
    for my $n (1 .. 6) {
        $clients[$n - 1]->send(FCNG::HTTP::head('GET', '/app/hold'));
        ok(wait_until(5, sub {
            $n == sum(map { scalar(() = $_->events('holding')) } $a, $b);
        }), "$n are held");
    }
    is(scalar(() = $_->events('holding')), 3, 'three each') for $a, $b;
    # One server is free again: the next ones go there.
    $a->open_gate('release');
    ok(wait_until(5, sub {
        my $row = $host->status->{$a->address};
        return $row->{active} == 0;
    }), 'one has nothing to do');
    is(answers($host, '/app/x', 5), 'a=5', 'it is asked');
    $b->open_gate('release');
    is($_->response(seconds => 5)->{status}, 200, 'served') for @clients;
    $_->close for @clients;
}

sub room {
    my ($host) = @_;
    my ($a, $b) = two($host, pool => { max_connections => 1, max_queue => 1,
        idle_timeout => '2s' });
    my @clients = map { $host->client } 1 .. 4;
    $clients[$_]->send(FCNG::HTTP::head('GET', '/app/hold')) for 0, 1;
    ok($_->wait_event('holding'), 'each has one') for $a, $b;
    $a->open_gate('release');
    ok(wait_until(5, sub {
        $host->status->{$a->address}{active} == 0
    }), 'one has room');
    is(answers($host, '/app/x', 5), 'a=5', 'which is asked');
    is($host->status->{$_->address}{queued}, 0, 'nothing waits') for $a, $b;
    $a->close_gate('release');
    $clients[2]->send(FCNG::HTTP::head('GET', '/app/hold'));
    ok($a->wait_event('holding', count => 2), 'none has room');
    my $waiter = $host->client;
    $waiter->send(FCNG::HTTP::head('GET', '/app/x'));
    my $other = $host->client;
    $other->send(FCNG::HTTP::head('GET', '/app/x'));
    ok(wait_until(5, sub {
        2 == sum(map { $host->status->{$_->address}{waiting} } $a, $b);
    }), 'one waits for each');
    is($host->get('/app/x')->{status}, 503, 'both queues are full');
    $_->open_gate('release') for $a, $b;
    is($_->response(seconds => 5)->{status}, 200, 'served')
        for @clients[0 .. 2], $waiter, $other;
    $_->close for @clients, $waiter, $other;
}

# What is full is so by the requests of all processes.
sub room_elsewhere {
    my ($host) = @_;
    my ($a, $b) = two($host, pool => { max_connections => 1,
        idle_timeout => '10ms' });
    my $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', '/app/hold'));
    ok(wait_until(5, sub {
        sum(map { scalar(() = $_->events('holding')) } $a, $b) == 1;
    }), 'one is taken');
    my ($full, $free) = $a->events('holding') ? ($a, $b) : ($b, $a);
    is(answers($host, '/app/x', 12), ($free == $a ? 'a' : 'b') . '=12',
        'every process asks the other');
    is($host->status->{$full->address}{queued}, 0, 'nothing waits');
    $full->open_gate('release');
    is($client->response(seconds => 5)->{status}, 200, 'served');
    $client->close;
}

# Asks again and again until so much time has passed; returns the failures.
sub ask_for {
    my ($host, $seconds) = @_;
    my $until = time + $seconds;
    my @faults;
    while (time < $until) {
        my $r = $host->get('/app/x', seconds => 10);
        push @faults, "status $r->{status}" if $r->{status} != 200;
        sleep 0.02;
    }
    return join ', ', @faults;
}

sub backoff {
    my ($host) = @_;
    my ($a, $b) = two($host, pool => { fail_timeout => '500ms' });
    my $tries = sub { $host->status->{$b->address}{connect_errors} };
    $b->stop;
    is(ask_for($host, 0.3), '', 'one server is gone: no request fails');
    is($tries->(), 1, 'one of them has tried it');
    # Tried after 0.5 s, 1 s more, 2 s more.
    is(ask_for($host, 2.3), '', 'nor later');
    is($tries->(), 3, 'each time in vain doubles the time');
    $b->start;
    my $from = time;
    ok(wait_until(5, sub { $host->get('/app/x')->{body} eq 'b' }),
        'it is found when it is back');
    cmp_ok(time - $from, '<', 3, 'in time');
    is(answers($host, '/app/x', 4), 'a=2 b=2', 'and serves again');
    like($host->wait_log(qr/FCNG016/), qr/failed \(2: No such file/,
        'the log told that it went');
    like($host->wait_log(qr/FCNG017/), qr/the application is back/,
        'and that it is back');
    uncounted($host);
}

sub probe {
    my ($host) = @_;
    my ($a, $b) = two($host, pool => { fail_timeout => '300ms' },
        options => { read_timeout => '500ms' });
    $b->open_gate('stall');
    is(answers($host, '/app/x', 8), 'a=8', 'one server says nothing: no'
        . ' request fails');
    is(scalar(() = $b->events('stalled')), 1, 'it is asked once');
    sleep 0.4;
    my @clients = map { $host->client } 1 .. 8;
    $_->send(FCNG::HTTP::head('GET', '/app/x')) for @clients;
    is($_->response(seconds => 5)->{body}, 'a', 'eight at once') for @clients;
    $_->close for @clients;
    is(scalar(() = $b->events('stalled')), 2, 'of which one has tried it');
    $b->close_gate('stall');
    ok(wait_until(8, sub { $host->get('/app/x')->{body} eq 'b' }),
        'it is found when it answers again');
    is(answers($host, '/app/x', 4), 'a=2 b=2', 'and serves again');
}

sub none_left {
    my ($host) = @_;
    my ($a, $b) = two($host, pool => { fail_timeout => '60s' },
        options => { connect_timeout => '500ms' });
    $_->stop for $a, $b;
    is(answers($host, '/app/x', 3), '503=3', 'both are gone');
    $b->start;
    is(answers($host, '/app/x', 3), 'b=3', 'one is back: it is never locked'
        . ' out');
    uncounted($host);
}

sub busy {
    my ($host) = @_;
    my ($a, $b) = two($host);
    $a->open_gate('overloaded');
    is(answers($host, '/app/x', 6), 'b=6', 'OVERLOADED: the other is asked');
    is($host->post('/app/x', 'body')->{body}, 'b', 'for a POST, too')
        for 1 .. 4;
    $a->close_gate('overloaded');
    is(answers($host, '/app/x', 4), 'a=2 b=2', 'which is no failure');
    $_->open_gate('overloaded')->forget for $a, $b;
    is($host->get('/app/x')->{status}, 503, 'both are: 503');
    is(scalar(() = $_->events('request')), 1, 'each was asked once')
        for $a, $b;
    $_->forget for $a, $b;
    is($host->post('/app/x', 'body')->{status}, 503, 'to a POST, too');
    is(scalar(() = $_->events('request')), 1, 'each was asked once')
        for $a, $b;
}

# What may not be repeated is not, but connecting in vain is no attempt.
sub posts {
    my ($host) = @_;
    my ($a, $b) = two($host, pool => { max_fails => 0, max_idle => 0 });
    $b->stop;
    my @by = map { $host->post('/app/x', 'body')->{body} } 1 .. 6;
    is("@by", 'a a a a a a', 'a POST goes where it can connect');
    $b->start;
    $b->open_gate('die');
    my %by;
    $by{$host->post('/app/x', 'body')->{status}}++ for 1 .. 6;
    is_deeply(\%by, { 200 => 3, 502 => 3 }, 'one that was sent is not sent'
        . ' again');
    is(answers($host, '/app/x', 6), 'a=6', 'a GET is');
    uncounted($host);
}

# All addresses of a name: this one has ::1 first where there is IPv6.
sub names {
    my ($host) = @_;
    my $app = app('tcp', listen => 'tcp');
    my ($port) = $app->address =~ /(\d+)$/;
    $host->location('/app/', address => "localhost:$port",
        pool => { max_idle => 0 });
    $host->location('/any/', address => ":$port");
    $host->start;
    # A folder of packages alone has no /etc/hosts.
    my $by = defined gethostbyname('localhost') ? 'tcp' : '503';
    is(answers($host, '/app/x', 5), "$by=5", 'by name');
    is(answers($host, '/any/x', 2), "$by=2", 'by port alone');
    ok($host->wait_log(qr/"localhost" does not resolve/),
        'a name that means nothing is told') if $by eq '503';
}

my %parts = (room_elsewhere => \&room_elsewhere, least_busy => \&least_busy, room => \&room, posts => \&posts,
    backoff => \&backoff, probe => \&probe, none_left => \&none_left,
    busy => \&busy, names => \&names);
my @parts = $ENV{PARTS} ? split(/,/, $ENV{PARTS}) : sort keys %parts;

FCNG::Hosts->each(@hosts, sub {
    my ($host) = @_;
    for (@parts) {
        my $many = /elsewhere/ && $host->reloads;
        $host->another($_, $many ? (workers => 4, mpm => 'prefork')
            : (workers => 1), $parts{$_});
    }
});
