# SPDX-License-Identifier: BSD-2-Clause
#
# Requests that nginx makes itself: parts of a page by SSI, also into a
# variable, copies of requests (mirror), asking before (auth_request), text
# before and after (addition), pieces (slice).
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(random_bytes wait_until);
use Test::More;

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $bytes = random_bytes(250_000);
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $do = $r->action;
        my $query = $r->env('QUERY_STRING') // '';
        my $body = $r->body;
        if ($do eq 'page') {
            my $parts = join ',', map {
                qq{<!--#include virtual="/app/part?$_" -->} } 1 .. 5;
            return $r->text("[$parts]");
        }
        if ($do eq 'nested') {
            my $n = $query - 1;
            return $r->text($query . ($n
                ? qq{(<!--#include virtual="/app/nested?$n" -->)} : ''));
        }
        if ($do eq 'set') {
            return $r->text('<!--#include virtual="/app/part?v" set="v" -->'
                . '<!--#if expr="$v = part-v" -->yes<!--#else -->no'
                . '<!--#endif --> <!--#echo var="v" -->');
        }
        if ($do eq 'setlarge') {
            return $r->text('<!--#include virtual="/app/large" set="v" -->'
                . '(<!--#echo var="v" encoding="none" -->)');
        }
        if ($do eq 'wait') {
            return $r->text('<!--#include virtual="/app/slow" wait="yes" -->'
                . '<!--#include virtual="/app/part?2" -->');
        }
        if ($do eq 'broken') {
            return $r->text('a<!--#include virtual="/app/dies" stub="s" -->b'
                . '<!--#include virtual="/none/x" -->c');
        }
        if ($do eq 'cutpart') {
            return $r->text('a<!--#include virtual="/app/cut" -->b');
        }
        if ($do eq 'cut') {
            $r->out("Content-Length: 100\r\n\r\nhalf");
            return $r->die_now;
        }
        if ($do eq 'dies') { return $r->die_now }
        if ($do eq 'slow') {
            select undef, undef, undef, 0.3;
            return $r->text('slow ');
        }
        if ($do eq 'hold') {
            $r->note('gone', how => $r->conn->wait_closed(10));
            return $r->die_now;
        }
        if ($do eq 'holds') {
            return $r->text('a<!--#include virtual="/app/hold" -->b');
        }
        if ($do eq 'large') { return $r->text('L' x 100_000) }
        if ($do eq 'slices') {
            my ($from, $to) = $r->env('HTTP_RANGE') =~ /bytes=(\d+)-(\d+)/
                or return $r->text('no range');
            $to = length($bytes) - 1 if $to >= length $bytes;
            return $r->answer("Status: 206\r\nContent-Type: x/y\r\n"
                . 'Content-Range: ' . "bytes $from-$to/" . length($bytes)
                . "\r\nETag: \"e\"\r\n\r\n"
                . substr $bytes, $from, $to - $from + 1);
        }
        if ($do =~ /^may(\w+)/) {
            my $right = ($r->env('HTTP_KEY') // '') eq 'right';
            return $r->answer('Status: ' . ($right ? 200 : 403)
                . "\r\nX-User: alice\r\nContent-Type: text/plain\r\n\r\n"
                . 'x' x 100_000);
        }
        if ($do eq 'mirrored') {
            $r->note('mirrored', body => $body, uri =>
                $r->env('REQUEST_URI'));
            return $r->text('nobody reads this' x 10_000);
        }
        if ($do eq 'mirrorhang') {
            $r->note('mirrored');
            $r->conn->wait_closed(5);
            return $r->die_now;
        }
        return $r->text($do eq 'part' ? "part-$query" : "$do "
            . length($body) . ' ' . ($r->env('USER') // ''));
    });
    my $ssi = "ssi on;\nssi_types text/plain;\n";
    $host->location('/app/', app => $app, nginx => $ssi
        . "subrequest_output_buffer_size 256k;\n");
    $host->server(nginx => "ssi_silent_errors off;\n");
    $host->location('/none/', address => 'unix:/nonexistent/app.sock');
    $host->location('/mirror/', app => $app, nginx => "mirror /copy;\n");
    $host->location('/mirrorhang/', app => $app,
        nginx => "mirror /copyhang;\n");
    for my $copy (['/copy', 'mirrored'], ['/copyhang', 'mirrorhang']) {
        $host->location("= $copy->[0]", app => $app, plain => 1,
            params => [PATH_INFO => "/$copy->[1]"], nginx => "internal;\n"
                . "fastcgi_ng_read_timeout 1s;\n");
    }
    $host->location('/unmirrored/', app => $app,
        nginx => "mirror /copy;\nmirror_request_body off;\n");
    $host->location('/guarded/', app => $app, nginx =>
        "auth_request /may;\nauth_request_set \$user "
        . "\$upstream_http_x_user;\nfastcgi_ng_param USER \$user;\n");
    $host->location('= /may', app => $app, plain => 1, params =>
        [PATH_INFO => '/mayenter'], nginx => "internal;\n"
        . "fastcgi_ng_pass_request_body off;\n");
    $host->location('/added/', app => $app, nginx =>
        "addition_types text/plain;\nadd_before_body /app/before;\n"
        . "add_after_body /app/after;\n");
    $host->location('/sliced/', app => $app, nginx => "slice 64k;\n"
        . "fastcgi_ng_param HTTP_RANGE \$slice_range;\n");
    $host->start;

    my $is = sub {
        my ($path, $want, $what, @more) = @_;
        my $r = $host->get($path, seconds => 10, @more);
        is("$r->{status} $r->{body}", "200 $want", $what);
    };

    # SSI.
    my $page = '[part-1,part-2,part-3,part-4,part-5]';
    $is->('/app/page', $page, 'parts in their order');
    my $client = $host->client;
    is($client->request_on('GET', '/app/page')->{body}, $page,
        "page $_ of a client") for 1 .. 3;
    $client->close;
    $is->('/app/nested?6', '6(5(4(3(2(1)))))', 'parts of parts');
    $is->('/app/set', 'yes part-v', 'a part in a variable');
    $is->('/app/setlarge', '(' . 'L' x 100_000 . ')', 'a large one');
    $is->('/app/wait', 'slow part-2', 'one after the other');
    my $r = $host->get('/app/broken', seconds => 5);
    is($r->{status}, 200, 'a part that fails');
    like($r->{body}, qr/^a.*502 Bad Gateway.*b.*502 Bad Gateway.*c$/s,
        'is an error within the page');
    $is->('/app/cutpart', 'ahalfb', 'a part that is cut ends there');
    $r = $host->post('/app/page', 'x' x 100_000);
    is($r->{body}, $page, 'a page for POST');

    # The client goes while a part is being made.
    $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', '/app/holds'));
    $app->wait_event('request', count => 1);
    ok(wait_until(3, sub { grep { $_->{env}{PATH_INFO} eq '/hold' }
        $app->events('request') }), 'a part is being made');
    $client->close;
    ok($app->wait_event('gone', seconds => 3),
        'its application is told that the client has gone');

    # Copies.
    $app->forget;
    $r = $host->post('/mirror/real?q', 'the body');
    is($r->{body}, 'real 8 ', 'what is mirrored is answered');
    my $copy = $app->wait_event('mirrored');
    is($copy->{body}, 'the body', 'the copy has the body');
    is($copy->{uri}, '/mirror/real?q', 'and the URI');
    $app->forget;
    is($host->post('/mirror/real', 'y' x 300_000)->{body}, 'real 300000 ',
        'a large body');
    is(length $app->wait_event('mirrored')->{body}, 300_000, 'twice');
    $app->forget;
    is($host->post('/unmirrored/real', 'y')->{body}, 'real 1 ',
        'without the body');
    is($app->wait_event('mirrored')->{body}, '', 'the copy has none');
    $app->forget;
    $r = $host->get('/mirrorhang/real', seconds => 3);
    is($r->{body}, 'real 0 ', 'a copy that hangs does not matter');
    ok($app->wait_event('mirrored'), 'it was made');

    # Asking before.
    is($host->get('/guarded/x')->{status}, 403, 'not allowed');
    $is->('/guarded/x', 'x 0 alice', 'allowed, with what was found out',
        headers => [Key => 'right']);
    $r = $host->post('/guarded/x', 'z' x 50_000, headers => [Key => 'right']);
    is($r->{body}, 'x 50000 alice', 'the body is the application\'s');

    # Before and after, and pieces.
    $is->('/added/x', 'before 0 x 0 after 0 ', 'addition');
    $r = $host->get('/sliced/slices');
    is($r->{status}, 200, 'slices');
    ok($r->{body} eq $bytes, 'put together');
    $r = $host->get('/sliced/slices',
        headers => [Range => 'bytes=60000-140000']);
    ok($r->{status} == 206 && $r->{body} eq substr($bytes, 60_000, 80_001),
        'a range of them');
});
