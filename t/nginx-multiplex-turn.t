# SPDX-License-Identifier: BSD-2-Clause
#
# Requests that share a connection and come in one turn of nginx's event loop
# leave in one write, with bodies or without: the system's own count of the
# worker's writes says so.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(slurp wait_until);
use Test::More;

use constant CLIENTS => 6;

sub writes {
    my ($pid) = @_;
    return slurp("/proc/$pid/io") =~ /^syscw: (\d+)/m ? $1
        : die "the system does not count writes\n";
}

sub is_stopped { slurp("/proc/$_[0]/stat") =~ /^\d+ \(.*\) T /s }

# A line for the log would be a write, too.
FCNG::Hosts->each(only => 'nginx', log_level => 'warn', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(multiplex => sub {
        my ($r) = @_;
        return $r->text('now') if $r->action eq 'now';
        $r->at('go', sub { $r->text($r->body) });
    });
    $host->location('/app/', app => $app, pool => { multiplex => 'on' });
    $host->start;
    my ($worker) = $host->workers;
    my @clients = map { $host->client } 1 .. CLIENTS;
    for my $client (@clients) {
        $client->send(FCNG::HTTP::head('GET', '/app/now', keep => 1));
        is($client->response->{body}, 'now', 'a client is connected');
    }

    kill STOP => $worker;
    ok(wait_until(5, sub { is_stopped($worker) }), 'the worker stands still');
    my @body = ('', 'a', '', 'bc', '', 'def');
    $clients[$_]->send(FCNG::HTTP::head($body[$_] eq '' ? 'GET' : 'PUT',
        '/app/later', length => length $body[$_]) . $body[$_])
        for 0 .. $#clients;
    my $before = writes($worker);
    kill CONT => $worker;
    ok($app->wait_event('request', count => 2 * CLIENTS), 'all have arrived');
    is(writes($worker) - $before, 1, 'in one write');

    $app->open_gate('go');
    is($clients[$_]->response->{body}, $body[$_], "client $_ is answered")
        for 0 .. $#clients;
    $_->close for @clients;
    is(($app->counts)[0], 1, 'one connection');
});
