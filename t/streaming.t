# SPDX-License-Identifier: BSD-2-Clause
#
# Slow output arrives as it is written: each piece within 200 ms, and before
# the application writes the next one.  The same for a body on its way to
# the application.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;
use Time::HiRes qw(time);

use constant LATE => 0.2;

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $what = $r->action;
        my $length = $what eq 'length' ? "Content-Length: 20\r\n" : '';
        $r->out("Content-Type: text/event-stream\r\n$length\r\n");
        $r->note('written', n => 0);
        if ($what eq 'talk') {
            while (defined(my $piece = $r->read_stdin(20))) {
                $r->note('heard', text => $piece);
                $r->out("re: $piece");
            }
            return $r->end;
        }
        for my $n (1 .. 5) {
            $r->wait_gate("piece$n") or return $r->die_now;
            $r->out("abc$n");
            $r->note('written', n => $n);
        }
        $r->wait_gate('end');
        $r->end;
    });
    $host->location('/app/', app => $app, options =>
        { buffering => 'off', request_buffering => 'off' });
    $host->start;

    for my $what (qw(close length)) {
        $app->forget;
        $app->close_gate($_) for 'end', map { "piece$_" } 1 .. 5;
        my $client = $host->client;
        my $r = $client->request_on('GET', "/app/$what", part => 1,
            seconds => 5);
        is($r->{status}, 200, "$what: the head comes alone");
        my $written = $app->wait_event('written');
        cmp_ok($r->{head_at} - $written->{at}, '<', LATE,
            'in time');
        for my $n (1 .. 5) {
            $app->open_gate("piece$n");
            $client->rest(bytes => 4 * $n, seconds => 5);
            my $at = time;
            is($r->{body}, join('', map { "abc$_" } 1 .. $n),
                "piece $n before the next is written");
            $written = $app->wait_event('written', count => $n + 1);
            cmp_ok($at - $written->{at}, '<', LATE, 'P15: in time');
        }
        $app->open_gate('end');
        $client->rest(seconds => 5);
        ok($r->{complete}, "$what: complete");
        $client->close;
    }

    # A conversation: each piece of the body is answered before the next one.
    my @talk = (['with Content-Length', length => 20],
        ['chunked', chunked => 1]);
    for (@talk) {
        my ($what, @how) = @$_;
        my %how = @how;
        my $client = $host->client;
        $client->send(FCNG::HTTP::head('POST', '/app/talk', @how));
        my $heard = '';
        for my $n (1 .. 5) {
            my $piece = "say$n";
            my $at = time;
            $client->send($how{chunked} ? FCNG::HTTP::chunk($piece)
                : $piece);
            $heard .= "re: $piece";
            $client->response(part => 1, seconds => 5) if $n == 1;
            $client->rest(bytes => length $heard, seconds => 5);
            is($client->{response}{body}, $heard,
                "$what: piece $n is answered");
            cmp_ok(time - $at, '<', 2 * LATE, 'in time');
        }
        $client->send("0\r\n\r\n") if $how{chunked};
        $client->rest(seconds => 5);
        ok($client->{response}{complete}, "$what: complete");
        $client->close;
    }
});
