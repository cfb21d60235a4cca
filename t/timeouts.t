# SPDX-License-Identifier: BSD-2-Clause
#
# The times that are set: for an application that takes no byte of the body,
# one that sends none, and for the request as a whole, wherever it is: in the
# queue, connecting, in the head, in the body.  (Connecting has a time of its
# own: t/surroundings.t.)  Time that an application or a client uses does not
# count against the other.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Sampler;
use Test::More;
use Time::HiRes qw(sleep time);

my $told = qr/FCNG003|upstream timed out/;

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $do = $r->action;
        if ($do eq 'deaf') {
            # Not a byte of the body is read.
            $r->note('deaf');
            $r->wait_gate('deaf', 8);
            return $r->die_now;
        }
        if ($do eq 'hold') {
            $r->note('hold');
            $r->wait_gate('hold', 8);
        }
        if ($do eq 'body') {
            $r->body;
            sleep 0.2;
        }
        if ($do eq 'drip') {
            $r->out("Content-Type: text/plain\r\n\r\n");
            for (1 .. 40) {
                $r->out('.') or last;
                sleep 0.1;
            }
            return $r->die_now;
        }
        if ($do eq 'begin') {
            $r->out("Content-Type: text/plain\r\n\r\n");
            $r->wait_gate('begin', 8);
            return $r->die_now;
        }
        if ($do eq 'much') {
            $r->out("Content-Type: text/plain\r\n\r\n");
            $r->out('x' x 65_536) for 1 .. 256;
            return $r->end;
        }
        if ($do eq 'headless') {
            for (1 .. 40) {
                $r->err("still thinking\n") or last;
                sleep 0.1;
            }
            return $r->die_now;
        }
        $r->text('ok');
    });
    my $one = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->note('taken');
        $r->wait_gate('free', 8);
        $r->text('ok');
    });
    my $full = FCNG::App->new(accept => 0, backlog => 1);
    $host->location('/send/', app => $app,
        options => { send_timeout => '600ms', read_timeout => '30s' });
    $host->location('/read/', app => $app,
        options => { send_timeout => '30s', read_timeout => '600ms',
            request_buffering => 'off' });
    $host->location('/flow/', app => $app,
        options => { read_timeout => '600ms', buffering => 'off' });
    # What the client does not take, stays with the application.
    $host->location('/slow/', app => $app,
        options => { read_timeout => '600ms',
            $host->is_nginx ? (max_temp_file_size => 0) : () });
    $host->location('/all/', app => $app, options => {
        request_timeout => '600ms', stderr => 'off', buffering => 'off' });
    # Two locations, one pool.
    $host->location('/take/', app => $one, pool => { max_connections => 1 });
    my $pool = 'pool' . $host->{pools};
    $host->server(apache => "<Location /one>\nFastCgiNgPass $pool\n"
        . "FastCgiNgRequestTimeout 600ms\n</Location>\n");
    $host->location('/one/', app => $one, pool => { max_connections => 1 },
        options => { request_timeout => '600ms' }) if $host->is_nginx;
    $host->location('/full/', app => $full,
        options => { request_timeout => '600ms' });
    $host->expect(qr/\[crit\].*connect\(\) to unix:/);
    $host->start;

    # A machine that stood still for half of the time shows nothing: again.
    my $ask = sub {
        my ($path, %more) = @_;
        for (1 .. 5) {
            $host->mark_log;
            my $delays = FCNG::Sampler->delays;
            my $start = time;
            my $r = $host->request($more{body} ? 'POST' : 'GET', $path,
                seconds => 8, %more);
            my $took = time - $start;
            my ($most) = $delays->stop;
            return ($r, $took) if $most < 0.3;
            note("$path: this process woke up $most s late");
        }
        die "the machine stands still again and again\n";
    };

    # Asked for at |path|, within its time, with |status|; the log says why.
    my $expect = sub {
        my ($what, $path, $status, %more) = @_;
        my ($r, $took) = $ask->($path, %more);
        if ($status) { is($r->{status}, $status, "$what: $status") }
        else { ok(!$r->{complete}, "$what: is broken off") }
        ok($took > 0.5 && $took < 2, "$what: in time") or diag("$took s");
        my $line = $host->wait_log($told);
        like($line // '', qr/\Q$path\E/, "$what: the log says it")
            or diag($host->new_log);
        return $r;
    };
    my $large = 'x' x (16 << 20);
    $expect->('an application that does not read', '/send/deaf', 504,
        body => $large);
    $app->open_gate('deaf');
    $expect->('an application that does not answer', '/read/hold', 504);
    $app->open_gate('hold');
    $expect->('one that answers with a head alone', '/flow/begin', 0);
    $app->open_gate('begin');
    $expect->('the whole request, before the head', '/all/headless', 504);
    like($host->new_log, qr/request_?timeout/i, 'by the name of its directive');
    $expect->('the whole request, in the body', '/all/drip', 0);
    is($host->get('/all/x')->{body}, 'ok', 'a quick one has time enough');

    # In the queue, and while connecting.
    my $holder = $host->client;
    $holder->send(FCNG::HTTP::head('GET', '/take/x'));
    ok($one->wait_event('taken'), 'the only connection is taken');
    $expect->('the whole request, in the queue', '/one/y', 504);
    $one->open_gate('free');
    is($holder->response(seconds => 5)->{body}, 'ok', 'who has it is served');
    $holder->close;
    $full->{filled} = [map { IO::Socket::UNIX->new(
        Type => Socket::SOCK_STREAM(), Peer => $full->path, Timeout => 0.2)
        // () } 1 .. 8];
    $expect->('the whole request, connecting', '/full/x', 504);

    # Neither is one that is slow to take the response.
    my $slow = $host->client;
    my $r = $slow->request_on('GET', '/slow/much', part => 1, seconds => 5);
    sleep 1.5;
    $slow->rest(seconds => 20);
    ok($r->{complete}, 'a slow client does not, either, while it reads')
        or diag($host->new_log);
    is($r->{size}, 16 << 20, 'it gets all of the response');
    $slow->close;

    # A client that is slow with its body is no fault of the application.
    my $client = $host->client;
    $client->send(FCNG::HTTP::head('POST', '/read/body', length => 12));
    for (1 .. 3) {
        sleep 0.4;
        $client->send('slow');
    }
    is($client->response(seconds => 5)->{body}, 'ok',
        'a slow client does not use up read_timeout');
    $client->close;
});
