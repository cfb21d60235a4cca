# SPDX-License-Identifier: BSD-2-Clause
#
# Bytes that an application sends after the end of a request never reach
# another one, whatever they are and whenever they come: 10 000 requests,
# each followed by bytes too many.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Wire qw(record stream end_request);
use Test::More;

my $head = "Content-Type: text/plain\r\n\r\n";

sub whole {
    my ($id, $text) = @_;
    return stream(FCNG::Wire::T_STDOUT, $id, "$head$text")
        . record(FCNG::Wire::T_STDOUT, $id, '') . end_request($id);
}

# What comes too late, by turns: id => bytes.  The first four belong to the
# request that ended, so that they are known for what they are whenever they
# come.  The others can be told from an answer to the next request only when
# they come before that request leaves.
my @late = (
    sub { whole($_[0], 'EVIL') },
    sub { stream(FCNG::Wire::T_STDOUT, $_[0], "${head}EVIL") },
    sub { end_request($_[0]) },
    sub { stream(FCNG::Wire::T_STDERR, $_[0], 'EVIL') },
    sub { substr whole($_[0], 'EVIL'), 0, 13 },
    sub { whole($_[0] % 2 + 1, 'EVIL') },
    sub { "HTTP/1.1 200 OK\r\n\r\nEVIL" },
    sub { record(FCNG::Wire::T_STDOUT, $_[0], "${head}EVIL", padding => 9) },
    sub { "\1" },
    sub { '' },
);

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(workers => 4, quiet => 1, connection => sub {
        my ($conn) = @_;
        my $before;
        while (my $r = $conn->next_request) {
            my $n = $r->env('QUERY_STRING');
            $r->body;
            # Of the request before, while this one is served.
            $conn->send(whole($before, 'EVIL'))
                if defined $before && $before != $r->{id} && $n % 2;
            $before = $r->{id};
            if ($r->action eq 'left') {
                $r->out("${head}part") or return;
                $r->note('part');
                $conn->wait_gate("left$n", 5);
                $conn->send(stream(6, $r->{id}, 'EVIL' x 1000)
                    . end_request($r->{id})) or return;
                next;
            }
            my $late = $late[$n % @late]->($r->{id});
            if ($n % 3 || $n % @late > 3) {
                $conn->send(whole($r->{id}, "answer $n") . $late) or return;
            }
            else {
                # Another segment: it comes when the connection is idle.
                $conn->send(whole($r->{id}, "answer $n")) or return;
                $conn->send($late) or return;
            }
        }
    });
    $host->location('/app/', app => $app, options => { buffering => 'off' });
    $host->start;

    my $client = $host->client;
    my @wrong;
    for my $n (1 .. 10_000) {
        my $r = $client->request_on('GET', "/app/x?$n", seconds => 5);
        push @wrong, "$n: $r->{status} $r->{body}"
            if $r->{status} != 200 || $r->{body} ne "answer $n";
        last if @wrong > 5 || !$r->{complete};
    }
    is(join("\n", @wrong), '', '10 000 requests, each with its own answer');
    $client->close;

    # A client leaves in the middle; the rest of its response is nobody's.
    @wrong = ();
    for my $n (1 .. 50) {
        my $leaver = $host->client;
        $leaver->request_on('GET', "/app/left?$n", part => 1, seconds => 5);
        $app->wait_event('part', count => $n);
        $leaver->close;
        $app->open_gate("left$n");
        my $r = $host->get("/app/x?9", seconds => 5);
        push @wrong, "$n: $r->{status} $r->{body}"
            if $r->{body} ne 'answer 9';
    }
    is(join("\n", @wrong), '', 'clients that left leave nothing to others');
});
