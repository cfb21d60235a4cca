# SPDX-License-Identifier: BSD-2-Clause
#
# fastcgi_ng_request_timeout, FastCgiNgRequestTimeout bounds the whole request,
# wherever it is: waiting in the queue or for a name, before the response, in
# its body however steadily that drips or floods, while the client sends slowly,
# and while it reads slowly or not at all.  The log says how long it lasted.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(wait_until);
use Test::More;
use Time::HiRes qw(sleep time);

my $head = "Content-Type: text/plain\r\n\r\n";

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $do = $r->action;
        if ($do eq 'silent') {
            $r->note('gone', how => $r->conn->wait_closed(8));
            return $r->die_now;
        }
        if ($do eq 'drip') {
            $r->out($head);
            for (1 .. 40) {
                $r->out('x' x 100) or last;
                if (my $how = $r->conn->wait_closed(0.1)) {
                    $r->note('gone', how => $how);
                    return $r->die_now;
                }
            }
            return $r->end;
        }
        return $r->flood if $do eq 'flood';
        $r->wait_gate('go') if $do eq 'hold';
        return $r->text(length $r->body);
    });
    my %limit = (options => { request_timeout => '1s', read_timeout => '20s',
        send_timeout => '20s' });
    my %pool = (max_connections => 1, queue_timeout => '20s');
    $host->location('/app/', app => $app, %limit);
    $host->location('/unbuffered/', app => $app, options => {
        %{ $limit{options} }, request_buffering => 'off',
        buffering => 'off' });
    my $directive = $host->is_nginx ? 'fastcgi_ng_request_timeout'
        : 'FastCgiNgRequestTimeout';
    my @only_nginx = $host->is_nginx ? '/rate' : ();
    if ($host->is_nginx) {
        $host->location('/files/', app => $app, options => {
            %{ $limit{options} }, max_temp_file_size => 0 });
        $host->location('/rate/', app => $app,
            options => { %{ $limit{options} }, limit_rate => 100 });
    }
    $host->location('/one/', app => $app, %limit, pool => \%pool);
    $host->location('/long/', app => $app, pool => \%pool);
    my $dns = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Proto => 'udp') or die "$!\n";
    $host->location('/name/', address => '$http_to', %limit,
        nginx => 'resolver 127.0.0.1:' . $dns->sockport . " ipv6=off;\n")
        if $host->is_nginx;
    $host->start;

    my $told = qr/FCNG003: .*the request has taken (\d+) ms \($directive\)/;
    my $bounded = sub {
        my ($what, $from) = @_;
        my $took = time - $from;
        cmp_ok($took, '>', 0.9, "$what: not before its time");
        cmp_ok($took, '<', 3, "$what: soon after");
        my $said = $host->wait_log($told);
        my ($ms) = ($said // '') =~ $told;
        ok($said, "$what: the log says why") or diag $host->new_log;
        ok($ms && $ms >= 950 && $ms < 3000, "$what: and how long it lasted")
            or diag $said;
        is(scalar(() = $host->new_log =~ /$told/g), 1, "$what: once");
    };
    my $ended = sub {
        my ($what) = @_;
        ok($app->wait_event('gone', seconds => 3),
            "$what: the application is told");
    };

    is($host->post('/app/fine', 'abc')->{body}, '3', 'a quick one');

    for my $path (map { "$_/silent" } '/app', '/unbuffered', @only_nginx) {
        $host->mark_log;
        $app->forget;
        my $from = time;
        is($host->get($path, seconds => 6)->{status}, 504, "$path: 504");
        $bounded->($path, $from);
        $ended->($path);
    }

    for my $path (map { "$_/drip" } '/app', '/unbuffered', @only_nginx) {
        $host->mark_log;
        $app->forget;
        my $from = time;
        my $r = $host->get($path, seconds => 6);
        is($r->{status}, 200, "$path: has begun");
        ok(!$r->{complete}, "$path: never looks complete");
        isnt($r->{error} // '', 'timeout', "$path: and ends");
        $bounded->($path, $from);
        $ended->($path);
    }

    # A client that sends a byte now and then.
    for my $path ('/unbuffered/upload') {
        $host->mark_log;
        my $from = time;
        my $client = $host->client;
        $client->send(FCNG::HTTP::head('POST', $path, length => 100));
        for (1 .. 60) {
            $client->send('x');
            last if defined $client->turn(0.1);
        }
        is($client->response(seconds => 2)->{status}, 504,
            'a slow upload: 504');
        $bounded->('a slow upload', $from);
        $client->close;
    }

    # And one that does not read, or not fast enough.
    for my $path ('/unbuffered/flood', $host->is_nginx ? '/files/flood' : ()) {
        for my $reads (0, 1) {
            my $what = "$path: " . ($reads ? 'a slow reader' : 'nobody reads');
            $host->mark_log;
            $app->forget;
            my $from = time;
            my $client = $host->client;
            my $r = $client->request_on('GET', $path, part => 1);
            while ($reads && !$client->{eof} && time < $from + 1.5) {
                $client->rest(bytes => $r->{size} + 10_000, seconds => 0.5);
                sleep 0.05;
            }
            $ended->($what);
            $bounded->($what, $from);
            $r = $client->rest(seconds => 3);
            ok(!$r->{complete}, "$what: never looks complete");
            isnt($r->{error} // '', 'timeout', "$what: is broken off");
            $client->close;
        }
    }

    # What is read from the client beforehand does not count.
    my $sender = $host->client;
    $sender->send(FCNG::HTTP::head('POST', '/app/length', chunked => 1));
    for (1 .. 6) {
        $sender->send(FCNG::HTTP::chunk('xx'));
        sleep 0.25;
    }
    $sender->send("0\r\n\r\n");
    my $late = $sender->response(seconds => 3);
    is("$late->{status} $late->{body}", '200 12',
        'a body that is read first has time');
    $sender->close;

    # While it waits for a connection that another request has.
    $host->mark_log;
    $app->forget;
    my $holder = $host->client;
    $holder->send(FCNG::HTTP::head('GET', '/long/hold'));
    ok($app->wait_event('request'), 'the only connection is taken');
    my $from = time;
    is($host->get('/one/waits', seconds => 6)->{status}, 504,
        'in the queue: 504');
    $bounded->('in the queue', $from);
    $app->open_gate('go');
    is($holder->response(seconds => 5)->{body}, '0', 'the other one ends');
    $holder->close;
    is($host->get('/one/next', seconds => 5)->{body}, '0',
        'the next one is served');

    # While nobody answers who is who.  nginx keeps its socket to the resolver.
    for my $turn ($host->is_nginx ? (1, 2) : ()) {
        $host->mark_log;
        $from = time;
        is($host->get('/name/x', headers => [To => "app$turn.example:9000"],
            seconds => 6)->{status}, 504, 'waiting for a name: 504');
        $bounded->('waiting for a name', $from);
        $host->baseline if $turn == 1;
    }
});
