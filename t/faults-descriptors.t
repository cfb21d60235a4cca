# SPDX-License-Identifier: BSD-2-Clause
#
# A process has no descriptors left: requests that need a new connection are
# answered with an error, whose line says so and what to do, those that have
# one go on, and as soon as there are descriptors again all are served.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(wait_until);
use Test::More;

use constant LIMIT => 96;

sub at_rest {
    my ($host) = @_;
    my $left;
    wait_until(5, sub {
        $left = join ' ', map { my $row = $_;
            map { "$_=$row->{$_}" } grep { $row->{$_} } qw(active waiting) }
            values %{ $host->status };
        return $left eq '';
    });
    return $left;
}

FCNG::Hosts->each(nofile => LIMIT, threads => LIMIT, connections => LIMIT,
        log_level => 'info', sub {
    my ($host) = @_;
    my ($app, $other) = map { FCNG::App->new(quiet => 1, request => sub {
        my ($r) = @_;
        $r->body;
        if ($r->action eq 'hold') {
            $r->note('holding');
            $r->wait_gate('release', 20);
        }
        $r->text('ok');
    }) } 1 .. 2;
    $host->location('/app/', app => $app, pool => { idle_timeout => '5s' });
    $host->location('/other/', app => $other,
        pool => { idle_timeout => '20s' });
    $host->status_at('/status');
    # What nginx says when it accepts a client and has no descriptor.
    $host->expect(qr/\[crit\].*(?:accept4?|socket)\(\) failed \(24/);
    $host->start;

    # The process has so many; two thirds of them are clients.
    my ($pid) = $host->workers;
    my $room = LIMIT - (() = glob "/proc/$pid/fd/*") - 2;
    my $kept = $host->client;
    is($kept->request_on('GET', '/other/x')->{status}, 200, 'one is kept');
    my @clients = map { $host->client } 1 .. int(2 * $room / 3);
    $_->request_on('GET', '/index.html') for @clients;
    $host->mark_log;
    $_->send(FCNG::HTTP::head('GET', '/app/hold')) for @clients;
    my $failed = $host->is_nginx ? 502 : 503;
    my $line = $host->wait_log(qr/FCNG0(?:01|16).*(?:24:|descriptor)/, 10)
        // '';
    like($line, qr/Too many open files/, 'the log says what happened');
    like($line, qr/raise the limit.*LimitNOFILE/, 'and what to do');
    like($line, qr/\Q@{[ $app->path ]}\E/, 'and to whom');

    my (@held, %status);
    for my $client (@clients) {
        $client->turn(0.05);
        if (!length $client->{in}) {
            push @held, $client;
            next;
        }
        my $r = $client->response(seconds => 5);
        $status{$r->{status}}++;
        is($r->{status}, $failed, 'refused') if $r->{status} != $failed;
    }
    cmp_ok($status{$failed} // 0, '>', 3, join ', ',
        map { "$status{$_} x $_" } sort keys %status);
    cmp_ok(scalar @held, '>', 3, @held . ' have a connection');
    for (1 .. 5) {
        is($kept->request_on('GET', '/other/x')->{status}, 200,
            'one that is kept serves on');
    }

    $app->open_gate('release');
    $other->open_gate('release');
    my @served = grep { $_->response(seconds => 10)->{status} == 200 } @held;
    is(scalar @served, scalar @held, 'those that had one are served');
    my $ok = grep { !defined $_->{eof}
        && $_->request_on('GET', '/app/x', seconds => 10)->{status} == 200 }
        @held;
    is($ok, scalar @held, 'and again');
    $_->close for @clients, $kept;
    is($host->get('/app/x', seconds => 10)->{status}, 200,
        'the next one is served');
    is(at_rest($host), '', 'no slot is left');
    # What is idle is closed, or else stays so for a while.
    $host->reloads ? $host->reload : $host->keeps_idle;
});
