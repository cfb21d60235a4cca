# SPDX-License-Identifier: BSD-2-Clause
#
# kill -9 under load.  The application, started again at once: only what it
# was doing is lost, and what may be repeated is not even that.  A process of
# the server: only requests of its own clients are lost, and its places among
# max_connections are given back within two seconds.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Load;
use FCNG::Util qw(wait_until);
use Socket qw(SOL_SOCKET);
use Test::More;
use Time::HiRes qw(sleep time);

use constant SO_PEERCRED => 17;

# How often, and how many requests come before each time.
my ($rounds, $requests) = ($ENV{FCNG_FAULTS} // '') eq 'full' ? (10, 60)
    : (2, 25);

# It tells which process asks.  |way|: request, one at a time on a connection,
# or multiplex.
sub app {
    my ($way) = @_;
    return FCNG::App->new(quiet => 1, $way // 'request', sub {
        my ($r) = @_;
        my $size = length $r->body;
        my $socket = $r->conn->{socket};
        my ($pid) = unpack 'l', getsockopt $socket, SOL_SOCKET, SO_PEERCRED;
        if ($r->action eq 'hold') {
            $r->note('holding', pid => $pid);
            return if $r->{multiplex}; # those beside it go on
            $r->conn->wait_closed(20);
            return $r->die_now;
        }
        sleep 0.01 if $r->action eq 'slow';
        $r->text("$pid $size " . 'z' x ($size % 5000));
    });
}

# What a client asked, by turns, and whether the answer is right.
sub ask {
    my ($client, $count) = @_;
    my $size = $count % 3 == 1 ? $count * 7919 % 60_000 : 0;
    my $path = '/app/' . ($count % 2 ? 'slow' : 'x');
    my $r = $client->request_on($size ? 'POST' : 'GET', $path,
        seconds => 20, $size ? (body => 'b' x $size) : ());
    my ($pid) = ($r->{body} // '') =~ /^(\d+) $size z*$/;
    my $right = $r->{status} == 200 && $r->{complete} && $pid;
    return ($right ? $pid : 0, $size ? 'POST' : 'GET', $r);
}

sub lost {
    my ($method, $r, $from) = @_;
    return join ' ', $method, $from, time,
        $r->{status} . ($r->{complete} ? '' : ' cut'), $r->{error} // '';
}

# ---- the application ----

sub application {
    my ($host, $way, %words) = @_;
    my $app = app($way);
    $host->location('/app/', app => $app, pool => { max_connections => 8,
        queue_timeout => '10s', idle_timeout => '300ms', %words });
    $host->status_at('/status');
    $host->start;
    my ($port, $pids) = ($host->port, join ' ', $host->workers);
    my %client;
    my $load = FCNG::Load->start(6, sub {
        my ($n, $count) = @_;
        my $client = delete $client{$n} // FCNG::HTTP->new($port);
        my $from = time;
        my ($pid, $method, $r) = ask($client, $count);
        $client{$n} = $client if $pid && !defined $client->{eof};
        return $pid ? '' : lost($method, $r, $from);
    });
    my @kills;
    for (1 .. $rounds) {
        # A GET is sent again once, after 100 ms: to one that meets two kills
        # nobody promises anything.
        sleep 0.3;
        $load->more($requests);
        my $at = time;
        $app->kill_all->start;
        push @kills, [$at, time];
    }
    $load->more($requests);
    my ($count, @lost) = $load->stop;
    # A request that began before a kill and had its answer after it.
    my @wrong = grep {
        my ($method, $from, $to, $how) = split / /, $_, 4;
        $how !~ /^(?:502|[23]00 cut|0)/ || !grep { $from <= $_->[1]
            && $to >= $_->[0] } @kills;
    } @lost;
    is(join("\n", @wrong), '', "$count requests, $rounds kills, "
        . @lost . ' lost, each in a kill');
    cmp_ok(scalar @lost, '<=', 8 * $rounds, 'no more than were under way');
    # What had no byte of an answer and may be repeated, was.
    is(join("\n", grep { /^GET \S+ \S+ 50/ } @lost), '',
        'no GET got an error');
    is($host->get('/app/x')->{status}, 200, 'the next one is served');
    is(join(' ', $host->workers), $pids, 'no process of the server ended');
    at_rest($host, $app);
}

# ---- a process of the server ----

sub at_rest {
    my ($host, $app) = @_;
    my $left;
    wait_until(5, sub {
        my $row = $host->status->{$app->address};
        $left = join ' ', map { "$_=$row->{$_}" }
            grep { $row->{$_} } qw(active waiting connections);
        return $left eq '';
    });
    is($left, '', 'no slot is left');
}

# Asks one process for four responses that do not come: for as many
# connections, or two that two requests share.  The process's pid.
sub holder {
    my ($app, @clients) = @_;
    my %of;
    for my $client (@clients) {
        my ($pid) = ask($client, 0);
        push @{ $of{$pid} }, $client if $pid;
    }
    my ($pid) = sort { @{ $of{$b} } <=> @{ $of{$a} } } keys %of;
    $_->send(FCNG::HTTP::head('GET', '/app/hold'))
        for splice @{ $of{$pid} }, 0, 4;
    return $pid;
}

# How many connections it has got with them.  On a shared one the second may
# have to wait: others of another process may have waited longer.
sub held {
    my ($app, $pid) = @_;
    my %conns = map { $_->{conn} => 1 } grep { $_->{pid} == $pid }
        $app->events('holding');
    return scalar keys %conns;
}

sub server {
    my ($host, $way, %words) = @_;
    my $app = app($way);
    my %pool = (max_connections => 4, queue_timeout => '10s',
        idle_timeout => '300ms', %words);
    $host->location('/app/', app => $app, pool => \%pool);
    my $other = app($way);
    $host->location('/other/', app => $other, pool => \%pool);
    $host->status_at('/status');
    # The slots of a killed process, and what it had accepted.
    $host->expect(qr/exited on signal 9|exit signal Killed/);
    $host->start;
    my $port = $host->port;
    my (%client, %of);
    my $load = FCNG::Load->start(8, sub {
        my ($n, $count) = @_;
        # A client is a process's as long as its connection lasts.
        my $client = delete $client{$n};
        if (!$client) {
            $client = FCNG::HTTP->new($port) or return '';
            delete $of{$n};
        }
        my $from = time;
        my ($pid, $method, $r) = ask($client, $count);
        my $known = $of{$n};
        $of{$n} = $pid if $pid;
        $client{$n} = $client if $pid && !defined $client->{eof};
        return $pid ? '' : lost($method, $r, $from) . ' of '
            . ($known // 'unknown');
    });
    my (%killed, $longest);
    for my $round (1 .. $rounds) {
        $load->more($requests);
        my @clients = map { $host->client } 1 .. 12;
        my $pid = holder($app, @clients);
        ok(wait_until(10, sub { held($app, $pid) == $pool{max_connections} }),
            "round $round: one process has all places");
        $killed{$pid} = time;
        $host->{lost} = 1; # requests whose end nobody has counted
        kill KILL => $pid;
        my $r = $host->get('/app/x', seconds => 10);
        # The kernel may have queued it for the process that was killed.
        $r = $host->get('/app/x', seconds => 10) if !$r->{status};
        my $took = time - $killed{$pid};
        $longest = $took if $took > ($longest // 0);
        is($r->{status}, 200,
            "round $round: the places are given back")
            or diag($r->{error});
        $_->close for @clients;
        wait_until(10, sub { !grep { $_ == $pid } $host->workers });
    }
    $load->more($requests);
    my ($count, @lost) = $load->stop;
    cmp_ok($longest, '<', 2, sprintf 'within %.2f s', $longest);
    # Lost by their own process, or before they had one.
    my @wrong = grep {
        my ($pid) = / of (\d+)$/;
        my (undef, $from, $to) = split / /;
        !($pid ? $killed{$pid} : grep { $to >= $_ } values %killed);
    } @lost;
    is(join("\n", @wrong), '', "$count requests beside, " . @lost
        . ' lost, each with its process');
    cmp_ok($host->status->{ $app->address }{shared}, '>', 10,
        'requests have shared connections') if $words{multiplex};
    at_rest($host, $app);
    wait_until(10, sub { $host->answers });
    $host->baseline;
}

FCNG::Hosts->each(sub {
    my ($host) = @_;
    $host->another('the application', threads => 24, \&application);
    $host->another('the application, on shared connections', threads => 24,
        sub { application(@_, 'multiplex', multiplex => 'on') })
        if $host->multiplexes;
    $host->another('a process of the server', workers => 3, threads => 24,
        \&server) if $host->reloads;
    $host->another('a process of the server, on shared connections',
        workers => 3, threads => 24, sub { server(@_, 'multiplex',
            multiplex => 'on', max_connections => 2, max_streams => 2) })
        if $host->reloads && $host->multiplexes;
});
