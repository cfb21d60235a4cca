# SPDX-License-Identifier: BSD-2-Clause
#
# How nginx connects: from which address, with which socket options; whether
# a client that leaves takes its request along; conditions in the location.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(wait_until find_tool run_bounded free_port);
use Socket qw(unpack_sockaddr_in inet_ntoa SOL_SOCKET SO_KEEPALIVE);
use Test::More;
use Time::HiRes qw(sleep);

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(listen => 'tcp', request => sub {
        my ($r) = @_;
        my $do = $r->action;
        $r->body;
        if ($do eq 'who') {
            my ($port, $address) = unpack_sockaddr_in
                getpeername $r->conn->{socket};
            return $r->text(inet_ntoa($address));
        }
        if ($do eq 'long') {
            $r->out("Content-Type: text/plain\r\n\r\nbegin");
            my $how = $r->conn->wait_closed(1.5);
            $r->note('after', how => $how // 'stayed');
            return $r->die_now if defined $how;
            return $r->end;
        }
        $r->wait_gate('go') if $do eq 'hold';
        return $r->text($do);
    });
    my $file = $host->dir . '/tmp/saved';
    $host->location('/app/', app => $app);
    $host->location('/bound/', app => $app,
        options => { bind => '127.0.0.9' });
    $host->location('/from/', app => $app, options => { bind => '$arg_me' });
    $host->location('/unbound/', app => $app, options => { bind => 'off' });
    $host->location('/nowhere/', app => $app,
        options => { bind => '192.0.2.1' });
    $host->location('/alive/', app => $app,
        options => { socket_keepalive => 'on' });
    $host->location('/ignore/', app => $app,
        options => { ignore_client_abort => 'on' });
    my $unix = FCNG::App->new(request => sub { $_[0]->text('unix') });
    $host->location('/unix/', app => $unix,
        options => { socket_keepalive => 'on' });
    $host->location('/if/', app => $app, nginx => "if (\$arg_x) {\n"
        . 'fastcgi_ng_pass ' . $unix->address . ";\n}\n");
    $host->location('/except/', app => $app, nginx => "limit_except GET {\n"
        . 'fastcgi_ng_pass ' . $unix->address . ";\n}\n");
    push @{ $host->{apps} }, $unix;
    $host->expect(qr/bind\(192\.0\.2\.1\) failed/);
    $host->start;

    # From where.
    is($host->get('/app/who')->{body}, '127.0.0.1', 'as the system likes');
    is($host->get('/bound/who')->{body}, '127.0.0.9', 'as told');
    is($host->get("/from/who?me=127.0.0.$_")->{body}, "127.0.0.$_",
        'as a variable says') for 7, 8, 7;
    is($host->get('/from/who')->{body}, '127.0.0.1', 'an empty variable');
    is($host->get('/unbound/who')->{body}, '127.0.0.1', 'off');
    is($host->get('/bound/who')->{body}, '127.0.0.9',
        'kept connections are not mixed up');
    $host->mark_log;
    is($host->get('/nowhere/x', seconds => 5)->{status}, 502,
        'an address that is not ours');
    ok($host->wait_log(qr/bind\(192\.0\.2\.1\) failed \(99: Cannot assign/),
        'the log says so') or diag $host->new_log;

    # Options of the socket, as the system sees them.
    SKIP: {
        my $ss = find_tool('ss');
        skip 'ss missing', 3 if !$ss;
        for my $case (['/app/hold', 0], ['/alive/hold', 1]) {
            my ($path, $alive) = @$case;
            $app->forget;
            my $client = $host->client;
            $client->send(FCNG::HTTP::head('GET', $path));
            ok($app->wait_event('request'), "$path: is connected");
            my (undef, $out) = run_bounded(5, $ss, '-tnoH', 'state',
                'established', 'dport', '=', ":$app->{port}");
            my @timers = $out =~ /timer:\(keepalive/g;
            is(scalar @timers, $alive, "$path: keepalive of TCP")
                or diag $out;
            $app->open_gate('go');
            $client->response(seconds => 3);
            $client->close;
            $app->close_gate('go');
        }
    }
    is($host->get('/unix/x')->{body}, 'unix',
        'which does not matter where there is no TCP');

    # A client that leaves.
    for my $case (['/app/long', qr/^(?:end|abort)$/],
            ['/ignore/long', qr/^stayed$/]) {
        my ($path, $how) = @$case;
        $app->forget;
        my $client = $host->client;
        $client->send(FCNG::HTTP::head('GET', $path));
        ok($app->wait_event('request'), "$path: runs");
        sleep 0.2;
        $client->close;
        my $event = $app->wait_event('after', seconds => 4);
        like($event->{how}, $how, "$path: the client has left");
    }

    # Blocks within the location.
    is($host->get('/if/a')->{body}, 'a', 'if: no');
    is($host->get('/if/a?x=1')->{body}, 'unix', 'if: yes');
    is($host->get('/except/a')->{body}, 'a', 'limit_except: GET');
    is($host->post('/except/a', 'x')->{body}, 'unix', 'limit_except: POST');
});
