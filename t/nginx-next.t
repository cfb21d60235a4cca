# SPDX-License-Identifier: BSD-2-Clause
#
# Several servers of nginx's upstream{}: another one is tried when nginx is
# told to, as often and as long as it is told, a server that failed is left
# alone, and $upstream_* variables have each attempt.  Errors that nginx
# answers in place of the application.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(slurp wait_until free_port);
use Test::More;
use Time::HiRes qw(time sleep);

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $code = sub {
        my ($name) = @_;
        return sub {
            my ($r) = @_;
            my $do = $r->action;
            my $body = $r->body;
            my $bad = $name eq 'bad' || $do =~ /^all/;
            if ($do eq 'hold') {
                $r->out("Content-Type: text/plain\r\n\r\n");
                $r->wait_gate('go');
                $r->out("$name $body");
                return $r->end;
            }
            return $r->text("$name $body", 'X-Name' => $name) if !$bad;
            return $r->answer("Status: $1\r\nX-Name: $name\r\n\r\nfrom $name")
                if $do =~ /(\d\d\d)$/;
            return $r->die_now if $do =~ /close$/;
            return $r->answer("no head\r\n") if $do =~ /invalid$/;
            if ($do =~ /stall$/) {
                $r->conn->wait_closed(10);
                return $r->die_now;
            }
            if ($do =~ /late$/) {
                $r->out("Content-Type: text/plain\r\n\r\nhalf");
                return $r->die_now;
            }
            return $r->text("$name $body", 'X-Name' => $name);
        };
    };
    my ($bad, $good) = map { FCNG::App->new(listen => 'tcp',
        request => $code->($_)) } qw(bad good);
    my @both = ($bad, $good);
    my $down = '127.0.0.1:' . free_port();

    # The first server that is asked is the bad one: "backup" keeps the order.
    my $servers = sub {
        my ($name, @servers) = @_;
        $host->main(nginx => "upstream $name {\n"
            . join('', map { "    server $_;\n" } @servers) . "}\n");
    };
    my @order = ($bad->address . ' max_fails=0', $good->address . ' backup');
    $servers->('both', @order);
    $servers->('downfirst', "$down max_fails=0", $order[1]);
    $servers->('counted', $bad->address . ' max_fails=2 fail_timeout=2s',
        $order[1]);
    $servers->('alone', $bad->address . ' max_fails=1');
    $servers->('four', map { "$_ max_fails=0" } ($down) x 3,
        $good->address);
    $servers->('stalls', map { "$_ max_fails=0" } ($bad->address) x 4);

    $servers->('kept', $good->address . ";\nkeepalive 1;\nfastcgi_ng_pool idle_timeout=2s");

    my $log = $host->dir . '/logs/access';
    $host->main(nginx => 'log_format u "$request_uri|$upstream_addr|'
        . '$upstream_status|$upstream_response_time|'
        . '$upstream_connect_time|$upstream_header_time|'
        . '$upstream_response_length|$upstream_bytes_received|'
        . '$upstream_bytes_sent|$upstream_http_x_name|'
        . '$upstream_cookie_c|$fastcgi_ng_pool";' . "\n");
    $host->server(nginx => "access_log $log u;\n");
    my %l = (
        plain => ['both', ''],
        http => ['both', 'next_upstream error timeout invalid_header '
            . 'http_500 http_503 http_403 http_404 http_429'],
        off => ['both', 'next_upstream off'],
        invalid => ['both', 'next_upstream invalid_header'],
        non => ['both', 'next_upstream error timeout non_idempotent'],
        down => ['downfirst', ''],
        counted => ['counted', ''],
        alone => ['alone', ''],
        tries => ['four', 'next_upstream_tries 3'],
        more => ['four', 'next_upstream_tries 4'],
        slowly => ['stalls', 'read_timeout 300ms', 'next_upstream timeout',
            'next_upstream_timeout 500ms'],
        kept => ['kept', 'buffering off'],
        intercept => ['both', 'intercept_errors on'],
    );
    for my $name (sort keys %l) {
        my ($upstream, @words) = @{ $l{$name} };
        unshift @words, 'read_timeout 1s' if !grep { /read_timeout/ } @words;
        $host->location("/$name/", address => $upstream, nginx =>
            join '', map { "fastcgi_ng_$_;\n" } grep { length } @words);
    }
    push @{ $host->{apps} }, @both;
    $host->server(nginx => "error_page 404 502 504 /error.html;\n"
        . "error_page 503 = /sorry;\nlocation = /sorry { return 200 sorry; }\n");
    $host->file('error.html', "nginx's page\n");
    $host->start;

    my $last = sub {
        my ($path) = @_;
        my @found;
        wait_until(2, sub { @found = grep { m{^\Q$path\E\|} }
            split /\n/, slurp($log) });
        return split /\|/, $found[-1] // '', -1;
    };
    my $asks = sub {
        my ($path, $status, $body, $what, @more) = @_;
        my $r = @more ? $host->post($path, @more)
            : $host->get($path, seconds => 8);
        is("$r->{status} $r->{body}", "$status $body", "$path: $what");
        return $r;
    };
    my ($b, $g) = map { $_->address } @both;
    my $page = "nginx's page\n";

    # Which failures another server is asked for.
    $asks->('/plain/close', 200, 'good ', 'closed without a byte');
    is(join(' ', (($last->('/plain/close'))[1, 2])), "$b, $g 502, 200",
        'both in $upstream_addr and $upstream_status');
    $asks->('/plain/stall', 200, 'good ', 'no answer in time');
    is(($last->('/plain/stall'))[2], '504, 200', 'in $upstream_status');
    $asks->('/plain/invalid', 502, $page, 'no head is no reason');
    $asks->('/invalid/invalid', 200, 'good ', 'unless it is told');
    $asks->('/plain/get500', 500, 'from bad', 'nor is a status');
    for my $status (500, 503, 403, 404, 429) {
        $asks->("/http/get$status", 200, 'good ', 'unless it is told');
        $asks->("/http/all$status", $status, 'from good',
            'the last one\'s answer is the client\'s');
    }
    is(join(' ', ($last->('/http/all503'))[2, 9]), '503, 503 good',
        '$upstream_http_* is the last one\'s');
    $asks->('/off/close', 502, $page, 'nobody else is asked');
    $asks->('/down/x', 200, 'good ', 'one that is down');
    is(join(' ', ($last->('/down/x'))[1, 2]), "$down, $g 502, 200",
        'in the variables');
    $asks->('/down/x', 200, 'good body', 'POST too, nothing having left',
        'body');
    $asks->('/plain/close', 502, $page, 'POST is asked once', 'body');
    $asks->('/non/close', 200, 'good body', 'unless it is told', 'body');
    my $r = $host->get('/plain/late');
    ok(!$r->{complete}, 'after the head there is no second server');
    is(scalar(() = $good->events('request')), scalar(
        grep { $_->{env}{REQUEST_URI} !~ /late/ } $good->events('request')),
        'it was not asked');

    # How often, how long.
    $asks->('/tries/x', 502, $page, 'three attempts');
    is(scalar(split /, /, ($last->('/tries/x'))[1]), 3, 'and no more');
    $asks->('/more/x', 200, 'good ', 'four');
    my $from = time;
    $asks->('/slowly/stall', 504, $page, 'as long as it may');
    cmp_ok(time - $from, '<', 2, 'then an end');
    is(scalar(split /, /, ($last->('/slowly/stall'))[1]), 2,
        'two attempts of 300 ms in 500 ms');

    # Failures that are counted.
    $asks->('/counted/close', 200, 'good ', 'failure ' . $_) for 1, 2;
    $bad->forget;
    $asks->('/counted/x', 200, 'good ', 'then it is left alone');
    is(scalar $bad->events('request'), 0, 'really');
    ok(wait_until(5, sub { $host->get('/counted/x')->{body} eq 'bad ' }),
        'and asked again later');
    $asks->('/alone/close', 502, $page, 'the only server fails');
    $asks->('/alone/x', 200, 'bad ', 'and is asked the next time');

    # nginx's errors in place of the application's.
    $asks->('/plain/get404', 404, 'from bad', 'the application\'s own page');
    $asks->('/intercept/get404', 404, $page, 'nginx\'s');
    $asks->('/intercept/get503', 200, 'sorry', 'or another answer');
    $asks->('/intercept/get500', 500, 'from bad', 'where there is one');

    # "keepalive" of nginx, which keeps one connection, keeps none of ours.
    wait_until(3, sub { my ($in, $out) = $good->counts; $in == $out });
    $good->forget;
    for (1, 2) {
        my @clients = map { $host->client } 1 .. 3;
        $_->send(FCNG::HTTP::head('GET', '/kept/hold')) for @clients;
        ok($good->wait_event('request', count => 3 * $_),
            'three at once');
        # All have answered: a connection without a byte costs another one.
        is($_->response(part => 1)->{status}, 200, 'begun') for @clients;
        $good->open_gate('go');
        is($_->rest(seconds => 3)->{body}, 'good ', 'answered')
            for @clients;
        $_->close for @clients;
        $good->close_gate('go');
    }
    is(scalar(() = $good->events('accept')), 3, 'on three connections');

    # What the log has.
    $asks->('/plain/x', 200, 'bad abc', 'a request', 'abc');
    my (undef, $addr, $status, @rest) = $last->('/plain/x');
    is("$addr $status", "$b 200", 'address and status');
    like($rest[0], qr/^\d+\.\d{3}$/, 'response time');
    like($rest[1], qr/^\d+\.\d{3}$/, 'connect time');
    like($rest[2], qr/^\d+\.\d{3}$/, 'header time');
    is($rest[3], 7, 'the length of the response');
    cmp_ok($rest[4], '>', 7, 'bytes received, with the head');
    cmp_ok($rest[5], '>', 100, 'bytes sent');
    is($rest[6], 'bad', 'a field');
    is($rest[8], 'both', 'and the pool');
});
