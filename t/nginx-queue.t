# SPDX-License-Identifier: BSD-2-Clause
#
# nginx's balancers and our queue: what exceeds max_conns of a server waits, in
# turn; a server without a free connection is passed over while another one
# has some; and neither is a failure of a server.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(wait_until slurp);
use Test::More;
use Time::HiRes qw(time);

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my %app = map { my $name = $_; $name => FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->note("asked " . $r->action);
        $r->wait_gate($1, 10) if $r->action =~ /^hold-(\w+)/;
        $r->text($name);
    }) } qw(one two three gone);
    push @{ $host->{apps} }, grep { $_ != $app{gone} } values %app;
    $app{gone}->stop;
    my %at = map { $_ => $app{$_}->address } keys %app;
    $host->main(nginx => <<"NGINX");
    log_format queue '\$uri \$fastcgi_ng_queue_time \$status';
    upstream limited { server $at{one} max_conns=1;
        fastcgi_ng_pool max_queue=3 queue_timeout=2s; }
    upstream zoned { zone zoned 64k; server $at{one} max_conns=1;
        fastcgi_ng_pool queue_timeout=400ms; }
    upstream down { server $at{gone} max_conns=1 fail_timeout=30s;
        server $at{gone} max_conns=1 fail_timeout=30s; }
    upstream hashed { hash \$arg_key; server $at{two}; server $at{three};
        fastcgi_ng_pool max_connections=1; }
NGINX
    my $log = $host->dir . '/logs/queue.log';
    $host->server(nginx => "access_log $log queue;\n" . join '', map {
        "location /$_/ { fastcgi_ng_mount on; fastcgi_ng_pass $_; }\n" }
        qw(limited zoned down hashed));
    $host->expect(qr/\[crit\].*connect\(\) to unix:/)->start;

    my $ask = sub {
        my ($path) = @_;
        my $client = $host->client;
        $client->send(FCNG::HTTP::head('GET', $path));
        return $client;
    };
    my $answer = sub {
        my ($client, $what, $status, $body) = @_;
        my $r = $client->response(seconds => 8);
        is($r->{status}, $status, "$what: $status") or diag($host->new_log);
        is($r->{body}, $body, "$what: $body") if defined $body;
        $client->close;
        return $r;
    };

    # Four at a server that may have one, and one too many.
    my @held = $ask->('/limited/hold-go');
    ok($app{one}->wait_event('asked hold-go'), 'max_conns=1: one is served');
    push @held, map { $ask->("/limited/$_") } 1 .. 3;
    select undef, undef, undef, 0.2;
    $host->mark_log;
    my $r = $answer->($ask->('/limited/5'), 'the fifth', 503);
    is($r->header('Retry-After'), 1, 'with Retry-After');
    like($host->wait_log(qr/FCNG012/), qr/"limited".*max_conns.*max_queue=3/,
        'the log says why');
    # One that leaves frees its place, the others keep theirs.
    (splice @held, 2, 1)->close;
    select undef, undef, undef, 0.2;
    push @held, $ask->('/limited/6');
    select undef, undef, undef, 0.2;
    $app{one}->open_gate('go');
    $answer->($_, 'one that waited', 200, 'one') for @held;
    is(join(' ', map { $_->{what} =~ /^asked (\d)/ } $app{one}->events),
        '1 3 6', 'in the order in which they came');
    ok(wait_until(3, sub { slurp($log) =~ m{^/limited/6 0\.\d*[1-9]\d* 200}m }),
        'and their time in the queue is known');

    # With a zone the balancer counts over workers; time runs out.
    my $holder = $ask->('/zoned/hold-zone');
    ok($app{one}->wait_event('asked hold-zone'), 'a zone: one is served');
    $host->mark_log;
    $answer->($ask->('/zoned/x'), 'queue_timeout', 503);
    like($host->wait_log(qr/FCNG012/), qr/"zoned".*max_conns.*queue_timeout/,
        'the log says why');
    $app{one}->open_gate('zone');
    $answer->($holder, 'the other', 200, 'one');

    # Servers that have failed are no reason to wait.
    $answer->($ask->('/down/x'), 'two that are gone', 502);
    my $start = time;
    $answer->($ask->('/down/x'), 'and are known to be', 502);
    cmp_ok(time - $start, '<', 1.5, 'at once');

    # A server without a free connection is passed over, then waited for.
    @held = map { $ask->('/hashed/hold-go?key=1') } 1 .. 2;
    ok($app{$_}->wait_event('asked hold-go'), "$_ is asked") for qw(two three);
    push @held, $ask->('/hashed/x?key=1');
    select undef, undef, undef, 0.3;
    is((grep { $_->{what} eq 'asked x' } map { $app{$_}->events }
        qw(two three)), 0, 'the next one waits');
    $app{$_}->open_gate('go') for qw(two three);
    my %who;
    for my $client (@held) {
        my $r = $client->response(seconds => 8);
        is($r->{status}, 200, 'and is served');
        $who{$r->{body}}++;
        $client->close;
    }
    is(join(' ', sort keys %who), 'three two', 'by both servers');
    is($host->get('/hashed/x?key=1')->{status}, 200, 'none counts as failed');
});
