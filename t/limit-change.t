# SPDX-License-Identifier: BSD-2-Clause
#
# Limits that change at a reload: smaller than what is in use, and larger.
# Nothing is cut off, what is too much is closed as it becomes free, and old
# and new processes count together meanwhile.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Sampler;
use FCNG::Util qw(wait_until slurp);
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => FCNG::Sampler->missing if FCNG::Sampler->missing;

FCNG::Hosts->each(threads => 32, sub {
    my ($host) = @_;
    return pass('one process alone does not reload') if !$host->reloads;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        if ($r->action eq 'hold') {
            $r->note('holding');
            $r->wait_gate('release', 20);
        }
        $r->text('ok');
    });
    my $most = sub { s/max_connections=\d+/max_connections=$_[0]/
        for $host->{server_text} };
    $host->location('/app/', app => $app, pool => { max_connections => 4,
        queue_timeout => '15s', idle_timeout => '2s' });
    $host->status_at('/status');
    $host->start;

    # Four are held; the new processes may have two.
    my @held = map { $host->client } 1 .. 4;
    $_->send(FCNG::HTTP::head('GET', '/app/hold')) for @held;
    ok($app->wait_event('holding', count => 4), 'four of four are taken');
    $most->(2);
    ok($host->reload(keep_old => 1), 'two are allowed from now on');
    my @waiting = map { $host->client } 1 .. 6;
    $_->send(FCNG::HTTP::head('GET', '/app/x')) for @waiting;
    ok(wait_until(5, sub {
        my $row = $host->status->{$app->address};
        return $row->{waiting} == 6 && $row->{connections} == 4;
    }), 'six wait, for those of before count');
    my $sampler = FCNG::Sampler->connections($app);
    $app->open_gate('release');
    is($_->response(seconds => 10)->{status}, 200, 'one that was held')
        for @held;
    is($_->response(seconds => 10)->{status}, 200, 'one that waited')
        for @waiting;
    my ($seen) = $sampler->stop;
    cmp_ok($seen, '<=', 4, 'never more than there were');
    $_->close for @held, @waiting;

    # Two at once from now on.
    $app->forget->close_gate('release');
    @held = map { $host->client } 1 .. 3;
    $_->send(FCNG::HTTP::head('GET', '/app/hold')) for @held;
    ok($app->wait_event('holding', count => 2), 'two are taken');
    sleep 0.3;
    is(scalar(() = $app->events('holding')), 2, 'a third one waits');

    (pop @held)->close;
    ok(wait_until(5, sub {
        $host->status->{$app->address}{waiting} == 0
    }), 'until it leaves');

    # More are allowed: there is room although those of before go on.
    $most->(8);
    ok($host->reload(keep_old => 1), 'eight are allowed');
    my @new = map { $host->client } 1 .. 3;
    $_->send(FCNG::HTTP::head('GET', '/app/hold')) for @new;
    ok($app->wait_event('holding', count => 5), 'three more are served');
    $app->open_gate('release');
    is($_->response(seconds => 10)->{status}, 200, 'and all come to their end')
        for @held, @new;
    $_->close for @new;
    $_->close for @held;
});
