# SPDX-License-Identifier: BSD-2-Clause
#
# An application may close a kept connection at any time.  What may be
# repeated is sent again on a fresh connection without the client noticing;
# what may not is never done twice.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(wait_until);
use FCNG::Wire qw(record);
use Test::More;
use Time::HiRes qw(sleep);

# By TCP it resets the connection, by a Unix socket it closes.
sub goes_away {
    my ($host, $listen) = @_;
    my $app = FCNG::App->new(listen => $listen, connection => sub {
        my ($conn) = @_;
        while (my $r = $conn->next_request) {
            my $body = $r->body;
            my $do = $r->env('QUERY_STRING') // '';
            # Takes the second request of a connection and goes.
            if ($do eq 'drop' && $r->{n} > 1) {
                $r->note('dropped');
                return $listen eq 'tcp' ? $conn->reset : $conn->close;
            }
            # Begins to answer it, and goes.
            if ($do =~ /^begin(\d+)/ && $r->{n} > 1) {
                $r->note('begun');
                $r->send(substr record(FCNG::Wire::T_STDOUT, $r->{id},
                    "Content-Type: text/plain\r\n\r\n"), 0, $1);
                return $listen eq 'tcp' ? $conn->reset : $conn->close;
            }
            $r->note('served', method => $r->env('REQUEST_METHOD'));
            $r->text("$do $body");
            if ($do eq 'close') {
                $conn->close;
                return;
            }
        }
    });
    $host->location('/app/', app => $app, pool => { idle_timeout => '10s' })
        ->start;
    $host->mark_log;

    # The application closed while the connection was idle: nobody noticed.
    for my $method (qw(GET POST)) {
        for my $n (1 .. 5) {
            my $r = $host->request($method, '/app/x?close', seconds => 5,
                $method eq 'POST' ? (body => "body $n") : ());
            is($r->{status}, 200, "$method after an idle close, $n");
            # While it is still closing, a POST may meet it.
            wait_until(5, sub {
                my ($opened, $closed) = $app->counts;
                return $opened == $closed;
            });
        }
    }

    # It closes instead of answering: a GET is sent again, once.
    for my $n (1 .. 3) {
        is($host->get('/app/x?keep')->{status}, 200, 'a kept connection');
        $app->forget;
        my $r = $host->get('/app/x?drop', seconds => 5);
        is($r->{status}, 200, 'P3: GET is repeated');
        is($r->{body}, 'drop ', 'and answered');
        is(scalar $app->events('dropped'), 1, 'the first was dropped');
        is(scalar $app->events('served'), 1, 'the second served');
    }
    like($host->wait_log(qr/FCNG014/), qr/kept connection/,
        'the log tells it');

    # One that has begun to answer is not stale, be it with a record's header
    # alone.
    for my $bytes (8, 9, 12) {
        is($host->get('/app/x?keep')->{status}, 200, 'a kept connection');
        $app->forget;
        my $r = $host->get("/app/x?begin$bytes", seconds => 5);
        is($r->{status}, 502, "$bytes bytes of an answer");
        is(scalar $app->events('begun'), 1, 'it was asked');
        is(scalar $app->events('served'), 0, 'and not again');
    }

    # A PUT has its body sent again; a POST is no one's to repeat.
    is($host->get('/app/x?keep')->{status}, 200, 'a kept connection');
    $app->forget;
    my $r = $host->request('PUT', '/app/x?drop', body => 'whole', seconds => 5);
    is($r->{body}, 'drop whole', 'PUT is repeated with its body');

    # Applications close right behind an answer, if at all: a POST does not
    # go where there was one just now.
    is($host->get('/app/x?keep')->{status}, 200, 'a kept connection');
    $app->forget;
    $r = $host->request('POST', '/app/x?drop', body => 'safe', seconds => 5);
    is($r->{body}, 'drop safe', 'POST gets a connection of its own');
    is(scalar $app->events('dropped'), 0, 'that is no risk');
    ok($app->wait_event('close'), 'in exchange for the kept one');

    is($host->get('/app/x?keep')->{status}, 200, 'a kept connection');
    sleep 0.2;
    $app->forget;
    $r = $host->request('POST', '/app/x?keep', body => 'kept', seconds => 5);
    is($r->{body}, 'keep kept', 'one that has been idle for a while');
    is(scalar $app->events('accept'), 0, 'serves a POST as well');
    sleep 0.2;
    $app->forget;
    $r = $host->request('POST', '/app/x?drop', body => 'once', seconds => 5);
    is($r->{status}, 502, 'and if it does close, POST is not repeated');
    is(scalar $app->events('served'), 0, 'it was done at most once');
    is(scalar $app->events('dropped'), 1, 'namely when it was dropped');
}

for my $listen (qw(unix tcp)) {
    subtest $listen => sub {
        FCNG::Hosts->each(sub { goes_away($_[0], $listen) });
    };
}
done_testing();
