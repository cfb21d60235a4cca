# SPDX-License-Identifier: BSD-2-Clause
#
# A shared connection rests when a response on it exceeds stream_buffer, and is
# read again as soon as that has been taken: what a client takes at once needs
# no temporary file.  There is no space for any, so one that needs it fails.
use strict;
use warnings;
use FCNG::App;
use FCNG::Failing;
use FCNG::HTTP ();
use FCNG::Hosts;
use Test::More;

use constant RESPONSES => 30;

my $missing = FCNG::Failing->missing;
plan skip_all => $missing if $missing;

FCNG::Hosts->each(only => 'apache', can => 'multiplexes', sub {
    my ($host) = @_;
    my $failing = FCNG::Failing->new($host);
    my $app = FCNG::App->new(multiplex => sub {
        my ($r) = @_;
        return $r->at('go', sub { $r->text('go') }) if $r->action eq 'wait';
        $r->queue("Content-Type: text/plain\r\n\r\n" . 'y' x 500_000);
        $r->finish;
    });
    $host->location('/app/', app => $app,
        pool => { multiplex => 'on', stream_buffer => '16k' });
    $host->start;

    my $waits = $host->client;
    $waits->send(FCNG::HTTP::head('GET', '/app/wait', close => 1));
    ok($app->wait_event('request'), 'a request is under way');
    $failing->space(0);
    # A path that is new each time: nobody knows that its response is large.
    my $whole = grep {
        my $r = $host->get("/app/$_/large");
        $r->{complete} && $r->{size} == 500_000;
    } 1 .. RESPONSES;
    # The processor may be elsewhere for longer than the connection rests.
    cmp_ok($whole, '>', RESPONSES / 2, "$whole of " . RESPONSES
        . ' large responses beside it needed no file');
    $app->open_gate('go');
    is($waits->response->{body}, 'go', 'the other one is answered');
    $waits->close;
    is(($app->counts)[0], 1, 'all on one connection');
});
