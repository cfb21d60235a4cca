# SPDX-License-Identifier: BSD-2-Clause
#
# nginx forgets addresses that nobody uses when there are many of them, but not
# one whose response a client is still reading, though its connection is closed.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(free_port wait_until);
use Test::More;

my $size = 8 << 20;

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(quiet => 1, multiplex => sub {
        my ($r) = @_;
        $r->text('y' x $size, 'X-Accel-Buffering' => 'no');
        $r->note('sent');
    });
    $host->location('/app/', app => $app, pool => { multiplex => 'on',
        idle_timeout => '100ms' });
    my $nobody = free_port();
    $host->server(nginx => 'location ~ ^/other/(\d+)$ { fastcgi_ng_pass '
        . "127.0.1.\$1:$nobody; }\n");
    $host->status_at('/status');
    # What is freed is overwritten: whoever reads it falls over.
    $host->{env} = { MALLOC_PERTURB_ => 165 };
    $host->start;

    my $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', '/app/x', close => 1));
    ok($app->wait_event('sent'), 'the response is there');
    ok(wait_until(5, sub {
        $host->status->{$app->address}{connections} == 0
    }), 'its connection is closed');
    my $failed = 0;
    $failed += $host->get("/other/$_")->{status} == 502 for 1 .. 150;
    is($failed, 150, 'many other addresses');
    my $r = $client->response(seconds => 20);
    is($r->{size} // length $r->{body}, $size, 'the client reads the rest');
    $client->close;
    ok(wait_until(5, sub {
        $host->status->{$app->address}{complete} == 1
    }), 'and the request is counted');
});
