# SPDX-License-Identifier: BSD-2-Clause
#
# nginx's balancers choose the server below our connections: each of them as
# with proxy_pass, in one process and with shared memory in several.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(wait_until);
use Test::More;

FCNG::Hosts->each(only => 'nginx', workers => 2, sub {
    my ($host) = @_;
    my @apps = map { my $n = $_; FCNG::App->new(request => sub {
        my ($r) = @_;
        if ($r->action eq 'hold') {
            $r->note('holds');
            $r->wait_gate('go');
        }
        return $r->text($n);
    }) } 0 .. 2;
    push @{ $host->{apps} }, @apps;
    my $upstream = sub {
        my ($name, $text, @more) = @_;
        my $n = 0;
        $host->main(nginx => "upstream $name {\n$text"
            . join('', map { "server $_->{address}"
                . (length $more[$n++] // '' ? " $more[$n - 1]" : '')
                . ";\n" } @apps) . "}\n");
        $host->location("/$name/", address => $name);
    };
    $upstream->('robin', '');
    $upstream->('weights', '', 'weight=4', '', '');
    $upstream->('hash', "hash \$arg_k;\n");
    $upstream->('ring', "hash \$arg_k consistent;\n");
    $upstream->('ip', "ip_hash;\n");
    $upstream->('rand', "random;\n");
    $upstream->('least', "zone least 64k;\nleast_conn;\n");
    $upstream->('two', "zone two 64k;\nrandom two least_conn;\n");
    $upstream->('zone', "zone zone 64k;\n");
    $upstream->('down', "zone down 64k;\n", '', 'down', 'down');
    $upstream->('max', "zone max 64k;\n", 'max_conns=1', 'down',
        'max_conns=1');
    $host->start;

    my $ask = sub {
        my ($path, $times) = @_;
        my %count;
        $count{ $host->get($path)->{body} }++ for 1 .. $times;
        return join ' ', map { "$_:$count{$_}" } sort keys %count;
    };
    # Each process has a turn of its own: the zone has one for all.
    is($ask->('/zone/x', 30), '0:10 1:10 2:10', 'in turn, in a zone');
    like($ask->('/robin/x', 30), qr/^0:\d+ 1:\d+ 2:\d+$/, 'in turn');
    my ($most) = $ask->('/weights/x', 36) =~ /^0:(\d+)/;
    cmp_ok($most, '>=', 20, 'by weight');
    for my $name (qw(hash ring)) {
        my %seen;
        for my $key (1 .. 12) {
            my $who = $ask->("/$name/x?k=$key", 3);
            like($who, qr/^\d:3$/, "$name: a key has its server");
            $seen{$who}++;
        }
        cmp_ok(scalar keys %seen, '>', 1, "$name: not all the same");
    }
    like($ask->('/ip/x', 6), qr/^\d:6$/, 'ip_hash');
    like($ask->('/rand/x', 60), qr/^0:\d+ 1:\d+ 2:\d+$/, 'random');
    is($ask->('/down/x', 6), '0:6', 'servers that are down');

    # Servers that have something to do get less of it.
    for my $name (qw(least two)) {
        my $client = $host->client;
        $client->send(FCNG::HTTP::head('GET', "/$name/hold"));
        my ($busy) = wait_until(3, sub {
            grep { $apps[$_]->events('holds') } 0 .. 2;
        } ) ? grep { $apps[$_]->events('holds') } 0 .. 2 : ();
        ok(defined $busy, "$name: one is busy");
        unlike($ask->("/$name/x", 12), qr/\b$busy:/, "$name: others work")
            if $name eq 'least';
        my $got = $ask->("/$name/x", 12);
        my $rest = join '|', grep { $_ != $busy } 0 .. 2;
        like($got, qr/\b(?:$rest):\d/, "$name: they do");
        $_->open_gate('go') for @apps;
        is($client->response(seconds => 5)->{body}, $busy, "$name: then it");
        $client->close;
        for my $app (@apps) {
            $app->close_gate('go');
            $app->forget;
        }
    }

    # max_conns over all processes.
    my @clients = map { $host->client } 1, 2;
    $_->send(FCNG::HTTP::head('GET', '/max/hold')) for @clients;
    ok(wait_until(3, sub {
        $apps[0]->events('holds') && $apps[2]->events('holds');
    }), 'max_conns: each has one');
    my $third = $host->client;
    $third->send(FCNG::HTTP::head('GET', '/max/x'));
    $third->turn(0.3);
    is($third->{in}, '', 'max_conns: a third waits');
    $_->open_gate('go') for @apps;
    is($third->response(seconds => 5)->{status}, 200, 'and is served');
    $third->close;
    is(join('', sort map { $_->response(seconds => 5)->{body} } @clients),
        '02', 'max_conns: both end');
    is($ask->('/max/x', 4), '0:2 2:2', 'max_conns: and are free again');
    $_->close for @clients;
});
