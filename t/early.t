# SPDX-License-Identifier: BSD-2-Clause
#
# An application may answer before it has the body, or without reading it.
# The response reaches the client while that is still sending.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;
use Time::HiRes qw(time);

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        if ($r->action eq 'ends') {
            $r->answer("Status: 413 Too Large\r\n"
                . "Content-Type: text/plain\r\n\r\ntoo large");
            # It closes instead of reading the rest, as many do.
            return $r->die_now;
        }
        if ($r->action eq 'waits') {
            $r->answer("Status: 401 No\r\n"
                . "Content-Type: text/plain\r\n\r\nwho?");
            return;
        }
        return $r->text('ok');
    });
    $host->location('/app/', app => $app,
        options => { request_buffering => 'off', buffering => 'off' });
    $host->start;

    my $body = 'x' x (1 << 20);
    for my $how (['ends', 413, 'too large'], ['waits', 401, 'who?']) {
        my ($do, $status, $text) = @$how;
        # Half of the body; the response must not wait for the rest.
        my $client = $host->client;
        my $start = time;
        $client->send(FCNG::HTTP::head('POST', "/app/$do",
            length => 2 << 20) . $body);
        my $r = $client->response(seconds => 5);
        is($r->{status}, $status, "$do: the response comes");
        is($r->{body}, $text, "$do: whole");
        ok($r->{complete}, "$do: complete");
        cmp_ok(time - $start, '<', 2, "P6: $do: while half is still to come");
        # The connection either closes or carries the next request.
        if (!defined $client->{eof}) {
            $client->send($body);
            $client->send(FCNG::HTTP::head('GET', '/app/next', close => 1));
            my $next = $client->response(seconds => 5);
            ok($next->{status} == 200 || $next->{error}
                && $next->{error} ne 'timeout',
                "$do: what follows is clear");
            is($next->{body}, 'ok', "$do: and right")
                if $next->{status} == 200;
        }
        $client->close;

        # All of it, sent while the response comes.
        $r = $host->post("/app/$do", $body x 8, seconds => 10);
        is($r->{status}, $status, "$do: the client that sends all");
    }
    is($host->get('/app/x')->{body}, 'ok', 'the next one');
});
