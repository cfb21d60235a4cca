# SPDX-License-Identifier: BSD-2-Clause
#
# Requests that share a connection: bodies arrive whole, a slow client holds
# nobody up, an abort reserves the id, what may be repeated is when the
# connection breaks or was never to be shared, and nothing is left at the end.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(wait_until);
use Test::More;
use Time::HiRes qw(sleep time);

my $head = "Content-Type: application/octet-stream\r\n\r\n";

# Bytes that are the same for the same name only.
sub bytes {
    my ($name) = @_;
    my ($length) = $name =~ /(\d+)/;
    my $seed = sha256_hex($name);
    return substr $seed x (1 + $length / 64), 0, $length;
}

# What the applications do, by the last part of the path.
sub serve {
    my ($r) = @_;
    my $what = $r->action;
    if ($what =~ /^bytes/) {
        $r->queue($head . bytes($what));
        return $r->finish;
    }
    if ($what eq 'echo') {
        $r->queue($head . $r->body);
        return $r->finish;
    }
    if ($what eq 'after') {
        return $r->at('go', sub { $r->text('after') });
    }
    # Its connection is not read any more, nor written to.
    if ($what eq 'freeze') { $r->note('frozen'); sleep 3; return }
    if ($what eq 'silent') { return $r->note('silent', id => $r->{id}) }
    if ($what eq 'unbuffered') {
        $r->queue("X-Accel-Buffering: no\r\n$head" . bytes('30000000'));
        return $r->finish;
    }
    if ($what eq 'gone') {
        my $app = $r->{conn}{app};
        return $r->text('back') if $app->is_back;
        return $r->at('end', sub {
            my $alone = keys %{ $r->{multiplex}{open} } == 1;
            sleep 0.02 if $alone;
            $r->note('gone');
            $r->conn->close;
        });
    }
    # Answers, and closes a moment later.
    if ($what eq 'last') {
        $r->text('last');
        sleep 0.02;
        return $r->conn->close;
    }
    # Cut off by the application, once.
    if ($what =~ /^(?:once|part)/ && $r->{conn}{app}->is_before_cut) {
        $r->out($head . 'part') if $what eq 'part';
        $r->note('cut waits');
        return $r->at('cut', sub { $r->conn->close });
    }
    return $r->text("$what: $r->{id}");
}

# It closes connections for 60 ms after the first one.
sub FCNG::App::is_back {
    my ($at) = map { $_->{at} } $_[0]->events('gone');
    return $at && time - $at > 0.06;
}

sub FCNG::App::is_before_cut { !-e "$_[0]{dir}/gates/cut" }

sub application { return FCNG::App->new(multiplex => \&serve, @_) }

# Several requests at once: the clients, which have sent them, but for a half of
# the body where it says so.
sub send_all {
    my ($host, @paths) = @_;
    return map {
        my ($post, $path) = /^(?:(POST|HALF) )?(.*)/;
        my $client = $host->client;
        $client->send(FCNG::HTTP::head($post ? 'POST' : 'GET', $path,
            $post ? (length => $post eq 'HALF' ? 8 : 4) : ())
            . ($post ? 'body' : ''));
        $client;
    } @paths;
}

sub answers {
    my @clients = @_;
    my @all = map { $_->response(seconds => 10) } @clients;
    $_->close for @clients;
    return @all;
}

sub ids { map { $_->{id} } $_[0]->events('request') }

sub requests_seen {
    my ($app, $count) = @_;
    return $app->wait_event('request', count => $count) ? 1 : 0;
}

# Processes of one request each have nothing to share.
sub prefork {
    my ($host) = @_;
    my $app = application();
    $host->location('/app/', app => $app, pool => { multiplex => 'on' });
    $host->start;
    like($host->log, qr/FastCgiNgPool pool1: multiplex has no effect/,
        'it is told');
    my @clients = send_all($host, ('/app/after') x 2);
    ok(requests_seen($app, 2), 'two requests');
    is(($app->counts)[0], 2, 'a connection each');
    $app->open_gate('go');
    is($_->{body}, 'after', 'each is answered') for answers(@clients);
}

FCNG::Hosts->each(can => 'multiplexes', sub {
    my ($host) = @_;
    $host->another('prefork', mpm => 'prefork', workers => 2, \&prefork)
        if $host->is_apache && $host->reloads;
    my %app = (
        plain => application(),
        many => application(),
        abort => application(abort => 'gate'),
        refuses => application(refuses => 1),
        lies => application(lies => 1,
            values => { FCGI_MPXS_CONNS => 1, FCGI_MAX_REQS => 2000 }),
        cut => application(),
        ends => application(),
        cannot => application(values => { FCGI_MPXS_CONNS => 0 }),
        silent => application(values => 'silent'),
        can => application(),
        fails => application(),
        works => application(),
        reload => application(),
        frozen => application(),
        apart => application(),
        alone => application(),
        leaves => application(listen => 'tcp'),
    );
    my %words = (map({ $_ => { multiplex => 'auto' } }
        qw(lies cannot silent can)),
        ends => { multiplex => 'on', max_streams => 3 },
        many => { multiplex => 'on', max_streams => 4 });
    $host->status_at('/status');
    $host->location("/$_/", app => $app{$_},
        options => $_ eq 'frozen' ? { read_timeout => '1s',
            send_timeout => '1s' } : {},
        pool => $words{$_} // { multiplex => 'on' })
        for grep { !/^(?:fails|works|alone)$/ } sort keys %app;
    my @two = map { $_->address } @app{qw(fails works)};
    $host->main(nginx => "upstream two {\n"
        . "server $two[0] max_fails=2 fail_timeout=60s;\n"
        . "server $two[1] max_fails=2 fail_timeout=60s;\n"
        . "least_conn;\nfastcgi_ng_pool multiplex=on;\n}\n",
        apache => "FastCgiNgPool two @two multiplex=on max_fails=2 "
        . 'fail_timeout=60s');
    $host->server(nginx => "location /two/ {\nfastcgi_ng_pass two;\n}\n"
        . "location /unbuffered/ {\nfastcgi_ng_pass "
        . $app{alone}->address . ";\nfastcgi_ng_buffering off;\n"
        . "fastcgi_ng_pool multiplex=on;\n}\n",
        apache => "<Location \"/two\">\nFastCgiNgPass two\n</Location>");
    $host->location('/alone/', app => $app{alone},
        pool => { multiplex => 'on' },
        options => { request_buffering => 'off' });
    $host->start;

    # ---- sharing ----

    my @clients = send_all($host, ('/plain/after') x 5);
    ok(requests_seen($app{plain}, 5), 'five requests are under way');
    is(($app{plain}->counts)[0], 1, 'on one connection');
    is_deeply([sort { $a <=> $b } ids($app{plain})], [1 .. 5],
        'with ids of their own');
    my $status = $host->status->{ $app{plain}->address };
    is($status->{streams}, 5, 'the status page knows');
    is($status->{shared}, 4, 'four of them share it with others');
    $app{plain}->open_gate('go');
    is($_->{body}, 'after', 'each is answered') for answers(@clients);

    @clients = send_all($host, ('/many/after') x 9);
    ok(requests_seen($app{many}, 9), 'max_streams=4: nine under way');
    is(($app{many}->counts)[0], 3, 'on three connections');
    $app{many}->open_gate('go');
    is($_->{status}, 200, 'each is answered') for answers(@clients);

    # ---- bodies ----

    my @names = map { "bytes" . int(rand 400_000) . ".$_" } 1 .. 24;
    my ($opened) = $app{plain}->counts;
    @clients = send_all($host, map { "/plain/$_" } @names);
    my @got = answers(@clients);
    is(join(' ', grep { $got[$_]{error}
        || sha256_hex($got[$_]{body}) ne sha256_hex(bytes($names[$_])) }
        0 .. $#names), '', '24 interleaved bodies are what was sent');
    cmp_ok(($app{plain}->counts)[0] - $opened, '<=', 1,
        'on one connection');

    my @bodies = map { bytes("$_") } 1, 70_000, 300_000, 1_000_000;
    @clients = map { my $body = $_; my $client = $host->client;
        $client->send(FCNG::HTTP::head('POST', '/plain/echo',
            length => length $body) . $body); $client } @bodies;
    for my $client (@clients) {
        $client->turn(0.05) while length $client->{out};
    }
    @got = answers(@clients);
    is(join(' ', grep { sha256_hex($got[$_]{body})
        ne sha256_hex($bodies[$_]) } 0 .. $#bodies), '',
        'and so are bodies of requests');

    my $r = $host->request('HEAD', '/plain/text');
    is($r->{status}, 200, 'HEAD');
    is($host->get('/plain/text')->{status}, 200, 'and the next one');
    is(scalar(() = $app{plain}->events('abort')), 0, 'nothing was aborted');

    # ---- a slow client ----

    my $slow = $host->client;
    $slow->send(FCNG::HTTP::head('GET', '/plain/new/bytes8000000'));
    ok(wait_until(10, sub { $slow->turn(0.1); length $slow->{in} }),
        'a slow client');
    my $start = time;
    my $took = 0;
    for (1 .. 20) {
        my $begin = time;
        is($host->get('/plain/text')->{status}, 200, 'a fast one') || last;
        $took = time - $begin if time - $begin > $took;
    }
    cmp_ok($took, '<', 2, sprintf 'none waits for it (at most %.2f s)',
        $took);
    $r = $slow->response(seconds => 30);
    is(sha256_hex($r->{body}), sha256_hex(bytes('bytes8000000')),
        'it gets all of its response');
    $slow->close;

    # What is passed on as it comes may not share.
    for my $way ('HALF /alone/silent',
            $host->is_nginx ? '/unbuffered/silent' : ()) {
        $app{alone}->forget;
        my ($before) = $app{alone}->counts;
        my @held = send_all($host, ($way) x 2);
        ok(requests_seen($app{alone}, 2), "$way: not buffered");
        is(($app{alone}->counts)[0] - $before, 2, 'a connection each');
        $_->close for @held;
    }

    if ($host->is_nginx) {
        # An application says so only when it is too late.
        $slow = $host->client;
        $slow->send(FCNG::HTTP::head('GET', '/plain/held/unbuffered'));
        ok(wait_until(10, sub { $slow->turn(0.1); length $slow->{in} }),
            'X-Accel-Buffering: no, and a slow client');
        $start = time;
        is($host->get('/plain/text')->{status}, 200, 'another one');
        cmp_ok(time - $start, '<', 2, 'hardly waits');
        $r = $slow->response(seconds => 30);
        is(sha256_hex($r->{body}), sha256_hex(bytes('30000000')),
            'it gets all of its response');
        $slow->close;
    }

    # ---- large responses ----

    is($host->get('/apart/big/bytes300000')->{size}, 300_000,
        'a large response');
    @clients = send_all($host, '/apart/after');
    ok(requests_seen($app{apart}, 2), 'a request that waits');
    is(($app{apart}->counts)[0], 1, 'both on one connection');
    is($host->get('/apart/big/bytes300000')->{size}, 300_000, 'once more');
    is(($app{apart}->counts)[0], 2, 'it has one of its own');
    is($host->get('/apart/small')->{status}, 200, 'a small one');
    is(($app{apart}->counts)[0], 2, 'shares');
    $host->get("/apart/big/bytes300000.$_") for 1 .. 4;
    my $new = $host->client;
    $app{apart}->forget;
    $new->send(FCNG::HTTP::head('GET', '/apart/big/after'));
    ok(requests_seen($app{apart}, 1), 'a new path beside large ones');
    is($host->status->{ $app{apart}->address }{streams}, 1,
        'does not share');
    $app{apart}->open_gate('go');
    is($_->{body}, 'after', 'each is answered') for answers(@clients, $new);

    # ---- aborts ----

    is($host->get('/abort/text')->{body}, 'text: 1', 'id 1 is free');
    my ($leaver) = send_all($host, '/abort/silent');
    ok($app{abort}->wait_event('silent'), 'a request without an answer');
    $leaver->close;
    my $abort = $app{abort}->wait_event('abort');
    is($abort && $abort->{id}, 1, 'its client leaves: ABORT_REQUEST');
    is($host->get('/abort/text')->{body}, 'text: 2', 'its id is reserved');
    is($host->get('/abort/text')->{body}, 'text: 2', 'still');
    $app{abort}->open_gate('end-abort');
    sleep 0.2;
    $host->get('/abort/text');
    is($host->get('/abort/text')->{body}, 'text: 1',
        'and free after END_REQUEST');
    is(($app{abort}->counts)[0], 1, 'all on one connection');

    my $half = $host->client;
    $half->send(FCNG::HTTP::head('GET', '/abort/bytes30000000'));
    ok(wait_until(10, sub { $half->turn(0.1); length $half->{in} }),
        'a client takes a part of its response');
    $half->close;
    ok($app{abort}->wait_event('abort', count => 2),
        'and leaves: ABORT_REQUEST');
    is($host->get('/abort/text')->{status}, 200, 'the next one');

    # ---- applications that cannot ----

    is($host->get('/refuses/text')->{status}, 200, 'one request at a time');
    $host->mark_log;
    @clients = send_all($host, '/refuses/after');
    ok(requests_seen($app{refuses}, 2), 'a request');
    push @clients, send_all($host, 'POST /refuses/after');
    ok($app{refuses}->wait_event('refused'),
        'another one gets CANT_MPX_CONN');
    ok(requests_seen($app{refuses}, 3), 'and is sent again, though a POST');
    $app{refuses}->open_gate('go');
    is($_->{body}, 'after', 'each is answered') for answers(@clients);
    like($host->wait_log(qr/FCNG018/) // '', qr/does not multiplex/,
        'the log says why');
    is(scalar(() = $app{refuses}->events('refused')), 1, 'one was refused');
    $app{refuses}->close_gate('go')->forget;
    @clients = send_all($host, ('/refuses/after') x 3);
    ok(requests_seen($app{refuses}, 3), 'the next ones');
    is(scalar(() = $app{refuses}->events('refused')), 0, 'do not share');
    $app{refuses}->open_gate('go');
    answers(@clients);

    for my $name (qw(cannot silent)) {
        @clients = send_all($host, ("/$name/after") x 2);
        ok($app{$name}->wait_event('values'), "multiplex=auto, $name: asked");
        sleep 1.2 if $name eq 'silent';
        push @clients, send_all($host, ("/$name/after") x 2);
        ok(requests_seen($app{$name}, 4), 'four requests');
        cmp_ok(($app{$name}->counts)[0], '>=', 4, 'a connection each');
        $app{$name}->open_gate('go');
        is($_->{body}, 'after', 'answered') for answers(@clients);
        is(scalar(() = $app{$name}->events('values')), 1, 'asked once');
    }

    for my $name (qw(can lies)) {
        my $app = $app{$name};
        is($host->get("/$name/text")->{status}, 200, "$name: one request");
        is(scalar(() = $app->events('values')), 0,
            'does not make it worth asking');
        # One that closes behind its first answer may have ended just then, so
        # it is believed once more.
        for my $round ($name eq 'can' ? 1 : (1, 2)) {
            sleep 0.2;
            $app->close_gate('go')->forget;
            @clients = send_all($host, ("/$name/after") x 2);
            ok(requests_seen($app, 2), "$name: two requests at once do");
            ok($app->wait_event('values'), 'it is asked');
            sleep 0.2;
            ($opened) = $app->counts;
            push @clients, send_all($host, ("/$name/after") x 3);
            ok(requests_seen($app, 5), 'three more');
            is(($app->counts)[0] - $opened, 1, 'share a connection');
            $host->mark_log;
            $app->open_gate('go');
            is($_->{body}, 'after', 'each is answered')
                for answers(@clients);
            next if $round == 2;
            unlike($host->new_log, qr/FCNG018/, 'nothing is said against it');
        }
        next if $name eq 'can';
        like($host->wait_log(qr/FCNG018/) // '', qr/does not multiplex/,
            'that it closed behind the first of them again is told');
        ($opened) = $app->counts;
        answers(send_all($host, ('/lies/text') x 3));
        is(($app->counts)[0] - $opened, 3, 'no others share');
    }

    # ---- a connection that breaks ----

    is($host->get('/cut/text')->{status}, 200, 'a connection in order');
    $host->mark_log;
    @clients = send_all($host, '/cut/once', '/cut/once', '/cut/once',
        '/cut/part', 'POST /cut/once');
    ok($app{cut}->wait_event('cut waits', count => 5), 'five requests');
    is(($app{cut}->counts)[0], 1, 'on one connection, which is cut');
    $app{cut}->open_gate('cut');
    @got = answers(@clients);
    is($got[$_]{status}, 200, 'a GET without a byte is sent again') for 0 .. 2;
    ok($got[3]{error} || $got[3]{status} == 502, 'half a response is broken off');
    is($got[4]{status}, 502, 'a POST is not sent again');
    is(scalar(() = grep { $_->{env}{REQUEST_METHOD} eq 'POST' }
        $app{cut}->events('request')), 1, 'it came once');
    like($host->wait_log(qr/FCNG004.*5 requests shared/) // '', qr/FCNG004/,
        'the log tells of the connection');
    unlike($host->new_log, qr/FCNG018/,
        'that it broke behind its first answer does not disprove anything');
    ok($app{cut}->wait_idle, 'kept connections grow old');
    ($opened) = $app{cut}->counts;
    @clients = send_all($host, ('/cut/after') x 3);
    $app{cut}->open_gate('go');
    is($_->{body}, 'after', 'the next ones') for answers(@clients);
    is(($app{cut}->counts)[0] - $opened, 1, 'share a connection');

    # One that was closed while no request was on it is not joined, however
    # short a time ago.
    $host->mark_log;
    for my $n (1 .. 8) {
        is($host->get('/leaves/last')->{status}, 200, "a connection, $n");
        ok($app{leaves}->wait_idle, 'is closed behind its answer');
    }
    unlike($host->new_log, qr/FCNG014/, 'no request meets that');

    # Its connections, new ones too, do not all end in the same moment.
    @clients = send_all($host, ('/ends/gone') x 4);
    ok(requests_seen($app{ends}, 4), 'an application with four requests');
    is(($app{ends}->counts)[0], 2, 'on two connections');
    $app{ends}->open_gate('end');
    ok($app{ends}->wait_event('gone'), 'ends');
    push @clients, send_all($host, '/ends/gone');
    is($_->{status}, 200, 'a GET is sent again when it is back')
        for answers(@clients);

    # Half of them each, more or less.
    @clients = send_all($host, ('/two/part') x 10);
    ok(wait_until(10, sub { 10 == grep { $_->{what} eq 'cut waits' }
        map { $_->events } @app{qw(fails works)} }),
        'ten requests of two servers');
    my $those = () = $app{fails}->events('cut waits');
    cmp_ok($those, '>', 2, "$those of them one");
    $app{fails}->open_gate('cut');
    sleep 0.3;
    like($host->get('/two/text')->{body}, qr/text/, 'which fails them');
    is(scalar(() = $app{fails}->events('request')), $those + 1,
        'it is asked again, for it has failed once');
    $app{works}->open_gate('cut');
    answers(@clients);

    # ---- a connection on which nothing moves ----

    is($host->get('/frozen/text')->{status}, 200, 'a connection that works');
    @clients = send_all($host, '/frozen/freeze');
    ok($app{frozen}->wait_event('frozen'), 'and then does not');
    push @clients, send_all($host, '/frozen/text');
    my $large = $host->client;
    $large->send(FCNG::HTTP::head('POST', '/frozen/echo',
        length => 2_000_000) . 'b' x 2_000_000);
    $start = time;
    @got = answers(@clients, $large);
    is($_->{status}, 504, 'whoever is on it times out') for @got;
    cmp_ok(time - $start, '<', 2.5, 'in time');
    is($host->get('/frozen/text')->{status}, 200, 'the next one is not');
    is(($app{frozen}->counts)[0], 2, 'but on another one');

    # ---- reload ----

    if ($host->reloads) {
        @clients = send_all($host, ('/reload/after') x 3,
            '/reload/bytes3000000');
        ok(requests_seen($app{reload}, 4), 'requests under way');
        ok($host->reload(keep_old => 1), 'a reload');
        is($host->get('/reload/text')->{status}, 200, 'the new one serves');
        $app{reload}->open_gate('go');
        @got = answers(@clients);
        is($_->{status}, 200, 'the old one finishes') for @got;
        is(sha256_hex($got[3]{body}), sha256_hex(bytes('bytes3000000')),
            'with all of a body');
    }

    ok(wait_until(5, sub {
        my $s = $host->status;
        return !grep { my $a = $_; grep { $a->{$_} }
            qw(active streams waiting connections) } values %$s;
    }), 'at the end no number is left') or diag(explain($host->status));
    my $all = $host->status;
    for my $row (map { $all->{$_} } sort keys %$all) {
        my $sum = 0;
        $sum += $row->{$_} for qw(complete aborted stale timeouts
            closed_early protocol_errors refused bad_heads other_errors
            active);
        is($sum, $row->{requests}, 'each request ended in one way')
            or diag(explain($row));
    }
});
