# SPDX-License-Identifier: BSD-2-Clause
#
# A limit counts all processes of the server, through reloads and kills, and
# those who wait for it are served in their turn.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Load;
use FCNG::Programs;
use FCNG::Sampler;
use FCNG::Util qw(wait_until slurp);
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(sleep time);

my $processes = 8;

# php-fpm with four processes under two hundred clients, a reload each second.
sub php {
    my ($host) = @_;
    if (my $missing = FCNG::Programs->missing('php_fpm')) {
        SKIP: { skip $missing, 1 }
        return;
    }
    my $php = FCNG::Programs->php_fpm(children => 4);
    $host->file('x.php', '<?php usleep(3000); echo "served";');
    $host->files('.php', app => $php, pool => { max_connections => 4,
        queue_timeout => '20s' });
    $host->status_at('/status');
    $host->start;
    my $port = $host->port;
    my $sampler = FCNG::Sampler->connections($php);
    my $load = FCNG::Load->start(200, sub {
        my $r = FCNG::HTTP::get($port, '/x.php', seconds => 25);
        return $r->{status} == 200 && $r->{body} eq 'served' ? ''
            : "status $r->{status} " . ($r->{error} // '');
    });
    $load->more(200);
    if ($host->reloads) {
        for my $n (1 .. 3) {
            ok($host->reload(keep_old => 1), "reload $n");
            sleep 1;
        }
    }
    $load->more(500);
    my ($count, @faults) = $load->stop;
    my ($most, $samples) = $sampler->stop;
    cmp_ok($count, '>', 1000, "$count requests");
    is(join(', ', @faults), '', 'none of them failed');
    cmp_ok($samples, '>', 50, "$samples looks at the connections");
    is($most, 4, 'never more than four');
    my ($row) = values %{ $host->status };
    is($row->{$_}, 0, "$_: 0") for qw(queue_timeout connect_errors retried);
}

# The processes that hold connections to the application.
sub holders {
    my ($host, $app) = @_;
    my %held = map { $_ => 1 } FCNG::Sampler::peers($app);
    return grep {
        grep { (readlink // '') =~ /^socket:\[(\d+)\]$/ && $held{$1} }
            glob "/proc/$_/fd/*";
    } $host->workers;
}

# Processes that are killed give back what they hold.
sub killed {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        if ($r->action eq 'hold') {
            $r->note('holding');
            $r->conn->wait_closed(20);
            return $r->die_now;
        }
        $r->text('ok');
    });
    $host->location('/app/', app => $app, pool => { max_connections => 4,
        queue_timeout => '10s' });
    $host->start;
    my @clients = map { $host->client } 1 .. 4;
    $_->send(FCNG::HTTP::head('GET', '/app/hold')) for @clients;
    ok($app->wait_event('holding', count => 4), 'all four are taken');
    my @holders = holders($host, $app);
    cmp_ok(scalar @holders, '>=', 1, @holders . ' processes have them');
    my $port = $host->port;
    my $waiter = $host->client;
    $waiter->send(FCNG::HTTP::head('GET', '/app/x'));
    sleep 0.2;
    # Should the waiter be in one of them, it is lost with it.
    $host->expect(qr/exit signal Killed|exited on signal 9/);
    kill KILL => @holders;
    $host->{lost} = 1; # requests whose end nobody has counted
    my $from = time;
    my $r = $host->get('/app/x', seconds => 10);
    my $took = time - $from;
    is($r->{status}, 200, 'processes are killed, the next request is served');
    cmp_ok($took, '<', 2, sprintf 'after %.2f s', $took);
    $r = $waiter->response(seconds => 5);
    ok($r->{status} == 200 || !$r->{status}, 'one that waited, too')
        or diag("$r->{status}");
    $_->close for $waiter, @clients;
    wait_until(10, sub { (() = $host->workers) >= $processes });
    $host->baseline;
}

# By how much a request was served after one that had come later, and by how
# much that one had come later.
sub unfair {
    my @seen = sort { $b->{came} <=> $a->{came} } @_;
    my ($late, $jump) = (0, 0);
    my $first;
    for my $one (@seen) {
        if ($first && $first->{at} < $one->{at}) {
            $late = max($late, $one->{at} - $first->{at});
        }
        $first = $one if !$first || $one->{at} < $first->{at};
    }
    # The largest difference of arrival between two that changed places.
    my $last;
    for my $one (sort { $a->{at} <=> $b->{at} } @_) {
        $last = $one if !$last || $one->{came} > $last->{came};
        $jump = max($jump, $last->{came} - $one->{came});
    }
    return ($late, $jump);
}

# More clients than the application can serve: nobody is left behind.  What is
# measured is the queue and the machine; a machine that was disturbed is asked
# again, a queue that is unfair is so each time.
sub fair {
    my ($host) = @_;
    my $app = FCNG::App->new(quiet => 1, request => sub {
        my ($r) = @_;
        # When the server had read the request, by its own clock.
        my ($came) = ($r->env('HTTP_X_CAME') // '') =~ /([\d.]+)/;
        $came /= 1e6 if $host->is_apache;
        $r->note('served', came => $came);
        sleep 0.025;
        $r->text('ok');
    });
    $host->location('/app/', app => $app, pool => { max_connections => 4,
        queue_timeout => '20s' },
        nginx => "fastcgi_ng_param HTTP_X_CAME \$msec;\n");
    $host->server(apache => 'RequestHeader set X-Came "%t"');
    $host->start;
    my $port = $host->port;
    my ($late, $jump, $delay);
    for my $measured (1 .. 3) {
        my $delays = FCNG::Sampler->delays;
        $app->forget;
        my $load = FCNG::Load->start(80, sub {
            my $r = FCNG::HTTP::get($port, '/app/x', seconds => 25);
            return $r->{status} == 200 ? '' : "status $r->{status}";
        });
        $load->more(700, 30);
        my ($count, @faults) = $load->stop;
        ($delay) = $delays->stop;
        is(join(', ', @faults), '', "$count requests, none failed");
        my @served = $app->events('served');
        cmp_ok(scalar @served, '>', 700, 'all of them were seen');
        ($late, $jump) = unfair(@served);
        last if $late <= 0.2 + 2 * $delay && $jump <= 0.2 + 2 * $delay;
        note(sprintf 'late %.3f s, machine %.3f s', $late, $delay);
    }
    # What the machine adds: before the request is in the queue, and after it
    # was given its connection.
    cmp_ok($late, '<=', 0.2 + 2 * $delay, sprintf 'served at most %.3f s after'
        . ' one that had come later (at most %.3f s later; the machine is late'
        . ' by %.3f s)', $late, $jump, $delay);
    cmp_ok($jump, '<=', 0.2 + 2 * $delay, 'nobody is preferred for long');
}

# An idle connection of one process is closed at once when another one's
# request waits, and that is told by a descriptor: looking would take up to a
# tenth of a second.
sub woken {
    my ($host) = @_;
    my $app = FCNG::App->new(quiet => 1, request => sub { $_[0]->text('ok') });
    $host->location('/app/', app => $app, pool => { max_connections => 1,
        idle_timeout => '10s', queue_timeout => '9s' });
    $host->start;
    my ($ok, @took) = 0;
    for my $n (1 .. 60) {
        my ($before) = $app->counts;
        my $from = time;
        $ok += $host->get('/app/x', seconds => 10)->{status} == 200;
        push @took, time - $from if ($app->counts)[0] > $before;
    }
    is($ok, 60, 'requests in many processes');
    cmp_ok(scalar @took, '>', 5, 'the connection changes hands');
    my $half = (sort { $a <=> $b } @took)[$#took / 2];
    cmp_ok($half, '<', 0.03, sprintf 'at once: half of %d times within %.4f s',
        scalar @took, $half);
    $host->reload if $host->reloads; # closes what is idle
}

# Too few descriptors: processes that cannot be woken look by themselves, and
# give way to others, too.
sub unwoken {
    my ($host) = @_;
    my $app = FCNG::App->new(quiet => 1, request => sub { $_[0]->text('ok') });
    $host->location('/app/', app => $app, pool => { max_connections => 1,
        idle_timeout => '10s', queue_timeout => '9s' });
    $host->start;
    like($host->wait_log(qr/descriptors for/), qr/descriptors for 7 of 30 /,
        'the log tells it');
    # Whoever has the connection keeps it until another process asks.
    # A machine that was disturbed is asked again; who does not look, does not
    # each time.
    my $most;
    for my $measured (1 .. 3) {
        my $ok = 0;
        $most = 0;
        for my $n (1 .. 30) {
            # A while ago, or just now.
            sleep 0.3 if $n <= 10;
            my $from = time;
            $ok += $host->get('/app/x', seconds => 10)->{status} == 200;
            $most = max($most, time - $from);
        }
        is($ok, 30, 'requests in many processes');
        last if $most < 1;
        note(sprintf 'one waited %.3f s', $most);
    }
    cmp_ok($most, '<', 1, sprintf 'none waits long: %.3f s', $most);
    cmp_ok(($app->counts)[0], '>', 10, 'the connection changed hands');
    $host->reload if $host->reloads; # closes what is idle
}

# One process: strictly first come, first served.
sub in_order {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->wait_gate('go', 20);
        $r->text('ok');
    });
    $host->location('/app/', app => $app, pool => { max_connections => 1,
        queue_timeout => '20s' });
    $host->status_at('/status');
    $host->start;
    my @clients;
    for my $n (0 .. 20) {
        push @clients, my $client = $host->client;
        $client->send(FCNG::HTTP::head('GET', "/app/$n"));
        wait_until(5, sub {
            my $row = $host->status->{$app->address} // {};
            return ($row->{active} // 0) == 1 && $row->{waiting} == $n;
        }) or diag("request $n does not wait");
    }
    $app->open_gate('go');
    is($_->response(seconds => 10)->{status}, 200, 'served') for @clients;
    $_->close for @clients;
    my @order = map { $_->{env}{PATH_INFO} =~ m{(\d+)} } $app->events('request');
    is("@order", join(' ', 0 .. 20), 'in the order in which they came');
}

my %parts = (php => \&php, killed => \&killed, fair => \&fair,
    in_order => \&in_order, woken => \&woken, unwoken => \&unwoken);
plan skip_all => FCNG::Sampler->missing if FCNG::Sampler->missing;
# What is measured in milliseconds is in the slow set, which has the machine
# for itself.
my @parts = $ENV{PARTS} ? split(/,/, $ENV{PARTS})
    : qw(in_order killed php unwoken);

FCNG::Hosts->each(sub {
    my ($host) = @_;
    for my $name (@parts) {
        my $prefork = $host->is_apache && $host->mpm eq 'prefork';
        next if $name eq 'in_order' && $prefork;
        next if $name eq 'killed' && !$host->reloads;
        if ($name eq 'unwoken') {
            $host->another($name, workers => 14, children => 14,
                nofile => 28, $parts{$name}) if $prefork;
            next;
        }
        $host->another($name, workers => $name eq 'in_order' ? 1
            : $prefork ? 16 : $processes, threads => 32, children => 64,
            $parts{$name});
    }
});
