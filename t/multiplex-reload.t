# SPDX-License-Identifier: BSD-2-Clause
#
# What an application answered to GET_VALUES is remembered over a reload: it is
# not asked again, and requests share a connection at once.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use Test::More;

# So many requests at once, each answered.
sub at_once {
    my ($host, $app, $count, $what) = @_;
    $app->close_gate('go')->forget;
    my @clients = map { $host->client } 1 .. $count;
    $_->send(FCNG::HTTP::head('GET', '/app/x', close => 1)) for @clients;
    ok($app->wait_event('request', count => $count), "$what: $count at once");
    return @clients;
}

sub answered {
    my ($app, @clients) = @_;
    $app->open_gate('go');
    is($_->response(seconds => 10)->{body}, 'x', 'answered') for @clients;
    $_->close for @clients;
}

FCNG::Hosts->each(can => 'multiplexes', sub {
    my ($host) = @_;
    return pass('one process alone does not reload') if !$host->reloads;
    my $app = FCNG::App->new(multiplex => sub {
        my ($r) = @_;
        $r->at('go', sub { $r->text('x') });
    });
    $host->location('/app/', app => $app, pool => { multiplex => 'auto' });
    $host->start;
    my @clients = at_once($host, $app, 2, 'before the reload');
    ok($app->wait_event('values'), 'it is asked');
    select undef, undef, undef, 0.2; # its answer is read
    answered($app, @clients);

    ok($host->reload, 'a reload');
    my ($opened) = $app->counts;
    answered($app, at_once($host, $app, 3, 'behind it'));
    is(scalar(() = $app->events('values')), 0, 'it is not asked again');
    is(($app->counts)[0] - $opened, 1, 'they share a connection at once');
});
