# SPDX-License-Identifier: BSD-2-Clause
#
# A client that leaves ends the application's request: while it is waited
# for, in the response, in the body.  Nothing stays behind.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(wait_until);
use Test::More;
use Time::HiRes qw(sleep);

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $do = $r->action;
        my $how;
        if ($do eq 'wait') {
            $r->note('waiting');
            $how = $r->conn->wait_closed(10);
        }
        elsif ($do eq 'talk') {
            $r->out("Content-Type: text/plain\r\n\r\nfirst");
            $r->note('waiting');
            $how = $r->conn->wait_closed(10);
        }
        elsif ($do eq 'body') {
            my $size = 0;
            while (defined(my $piece = $r->read_stdin(10))) {
                $size += length $piece;
                $r->note('waiting') if $size >= 1000 && !$r->{told}++;
            }
            $how = $r->{gone};
            $r->note('clean end') if $r->{stdin_ended};
        }
        elsif ($do eq 'flood') {
            $r->out("Content-Type: text/plain\r\n\r\n");
            $r->note('waiting');
            my $block = 'x' x 65_528;
            1 while $r->out($block);
            $how = $r->conn->{broken};
        }
        else { return $r->text('here') }
        $r->note('gone', how => $how);
        $r->die_now;
    });
    $host->location('/app/', app => $app, options => { buffering => 'off',
        request_buffering => 'off', read_timeout => '30s' });
    # As it is configured by nobody, and with a single connection: one that
    # is not given back would be the last.
    $host->location('/default/', app => $app);
    $host->location('/single/', app => $app,
        pool => { max_connections => 1, queue_timeout => '3s' },
        options => { buffering => 'off', request_buffering => 'off' });
    $host->status_at('/counters');
    $host->start;

    my $leave = sub {
        my ($what, $send, $part) = @_;
        $app->forget;
        my $client = $host->client;
        $client->send($send);
        $client->response(part => 1, seconds => 5) if $part;
        ok($app->wait_event('waiting'), "$what: the request runs");
        $client->close;
        my $gone = $app->wait_event('gone', seconds => 3);
        ok($gone && $gone->{how}, "P19: $what: the application is told")
            or diag explain [$app->events];
        is(scalar $app->events('clean end'), 0,
            "$what: never as an end of the body");
    };
    my $head = sub { FCNG::HTTP::head(@_) };
    $leave->('while waiting', $head->('GET', '/app/wait'));
    $leave->('in the response', $head->('GET', '/app/talk'), 1);
    $leave->('in a flood', $head->('GET', '/app/flood'), 1);
    $leave->('in the body', $head->('POST', '/app/body', length => 10_000)
        . 'x' x 1000);
    $leave->('in a chunked body', $head->('POST', '/app/body',
        chunked => 1) . FCNG::HTTP::chunk('x' x 1000));
    is($host->get('/app/x')->{body}, 'here', 'the next one is served');

    $leave->('while waiting, by default', $head->('GET', '/default/wait'));
    $leave->('in a flood, by default', $head->('GET', '/default/flood'), 1);
    for my $round (1, 2) {
        $leave->("on the only connection, waiting, $round",
            $head->('GET', '/single/wait'));
        $leave->("on the only connection, in the response, $round",
            $head->('GET', '/single/talk'), 1);
        $leave->("on the only connection, in the body, $round",
            $head->('POST', '/single/body', length => 10_000) . 'x' x 1000);
        is($host->get('/single/x', seconds => 5)->{body}, 'here',
            "it is free again, $round");
    }

    # A client that shuts its sending side down in the middle of the body
    # never sends the rest.
    for my $how ([length => 10_000], [chunked => 1]) {
        $app->forget;
        my $half = $host->client;
        $half->send($head->('POST', '/single/body', @$how)
            . ($how->[0] eq 'chunked' ? FCNG::HTTP::chunk('x' x 1000)
                : 'x' x 1000));
        ok($app->wait_event('waiting'), 'a body comes');
        shutdown $half->{socket}, 1;
        my $gone = $app->wait_event('gone', seconds => 3);
        ok($gone && $gone->{how}, 'half closed: the application is told');
        is(scalar $app->events('clean end'), 0, 'not as an end of the body');
        $half->close;
        is($host->get('/single/x', seconds => 5)->{body}, 'here',
            'the only connection is free again');
    }

    # One that waits for its turn leaves: the turn is not lost.
    $app->forget;
    my $holder = $host->client;
    $holder->send($head->('GET', '/single/wait'));
    ok($app->wait_event('waiting'), 'the only connection is taken');
    my @waiting = map { $host->client } 1 .. 5;
    $_->send($head->('GET', '/single/x')) for @waiting;
    my $last = $host->client;
    $last->send($head->('GET', '/single/x'));
    sleep 0.3;
    $_->close for @waiting;
    sleep 0.3;
    $holder->close;
    is($last->response(seconds => 5)->{body}, 'here',
        'five leave the queue, the sixth is served');
    $last->close;

    # Many at once, then nothing is left.
    $app->forget;
    my @clients = map { $host->client } 1 .. 20;
    $_->send($head->('GET', '/app/wait')) for @clients;
    ok($app->wait_event('waiting', count => 20), 'twenty requests run');
    $_->close for @clients;
    ok($app->wait_event('gone', count => 20), 'and all end');
    ok(wait_until(5, sub { my ($a, $c) = $app->counts; $a == $c }),
        'with their connections');
    is($host->get('/app/x')->{body}, 'here', 'the next one is served');

    # What the server itself thinks is open, under way and waiting.
    my $all;
    ok(wait_until(5, sub {
        $all = $host->status;
        return !grep { my $at = $_; grep { $at->{$_} }
            qw(connections idle waiting active) } values %$all;
    }), 'all counters of what is there are zero') or diag(explain($all));
    my $aborted = 0;
    $aborted += $_->{aborted} for values %$all;
    cmp_ok($aborted, '>=', 30, "those who left are counted: $aborted");
});
