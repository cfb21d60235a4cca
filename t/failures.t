# SPDX-License-Identifier: BSD-2-Clause
#
# Applications that are not there, die, stall, or send what is no FastCGI:
# each has its status and one log line that names the cause, and the next
# request is served.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Wire qw(record stream end_request unknown_type begin_request);
use Test::More;

my $head = "Content-Type: text/plain\r\n\r\n";

sub out { stream(FCNG::Wire::T_STDOUT, @_) }
sub err { stream(FCNG::Wire::T_STDERR, @_) }

my $good = sub { out($_[0], "${head}body") . end_request($_[0]) };

# Time-outs are nginx's own, and so are the words it tells them in.
my $timed_out = qr/FCNG003.*ead_?[tT]imeout|upstream timed out \(110:/;

# name => [status (0: cut), log, bytes of the id, then: close|stall]
my %case = (
    'P18: dies before the head' => [502, qr/FCNG004.*closed the connection before END_REQUEST.*before the response/,
        sub { '' }],
    'dies in the head' => [502, qr/FCNG004.*(?:in the response's head|before the response)/,
        sub { out($_[0], 'Content-Ty') }],
    'dies in a record' => [502, qr/FCNG004/,
        sub { substr out($_[0], "${head}body"), 0, 20 }],
    'dies after the head' => [0, qr/FCNG004/,
        sub { out($_[0], "${head}bo") }],
    'dies after STDOUT, before END' => [0, qr/FCNG004/,
        sub { out($_[0], "${head}" . 'b' x 100_000) }],
    'P18: stalls' => [504, $timed_out, sub { '' }, 'stall'],
    'stalls in the head' => [504, $timed_out,
        sub { out($_[0], 'Content-Ty') }, 'stall'],
    'stalls in the body' => [0, $timed_out,
        sub { out($_[0], "${head}bo") }, 'stall'],
    'speaks HTTP' => [502, qr/FCNG005.*HTTP/,
        sub { "HTTP/1.1 400 Bad Request\r\n\r\n" }],
    'sends garbage' => [502, qr/FCNG005.*no FastCGI 1\.0 record/,
        sub { join '', map { chr(200 + $_ % 50) } 1 .. 100 }],
    'version 2' => [502, qr/FCNG005/, sub { record(FCNG::Wire::T_STDOUT,
        $_[0], "${head}x", version => 2) }],
    'version 0 after the head' => [0, qr/FCNG005/, sub {
        out($_[0], "${head}x") . record(6, $_[0], 'y', version => 0) }],
    'sends what only servers send' => [502, qr/FCNG005.*only a web server/,
        sub { begin_request($_[0]) }],
    'STDIN from the application' => [502, qr/FCNG005/,
        sub { record(FCNG::Wire::T_STDIN, $_[0], 'x') }],
    'a short END_REQUEST' => [502, qr/FCNG005.*shorter than 8/,
        sub { record(FCNG::Wire::T_END_REQUEST, $_[0], 'abcd') }],
    'P4: no head at all' => [502, qr/FCNG008.*before the head/,
        sub { end_request($_[0]) }],
    'STDERR alone' => [502, qr/FCNG008/,
        sub { err($_[0], 'why it failed') . end_request($_[0]) }],
    'P4: CANT_MPX_CONN' => [502, qr/FCNG006.*CANT_MPX_CONN/,
        sub { end_request($_[0], 0, FCNG::Wire::CANT_MPX_CONN) }],
    'P4: OVERLOADED' => [503, qr/FCNG006.*OVERLOADED/,
        sub { end_request($_[0], 0, FCNG::Wire::OVERLOADED) }],
    'UNKNOWN_ROLE' => [500, qr/FCNG007.*(?:FastCgiNgPass|fastcgi_ng_pass)/,
        sub { end_request($_[0], 0, FCNG::Wire::UNKNOWN_ROLE) }],
    'protocolStatus 9' => [502, qr/FCNG006/,
        sub { end_request($_[0], 0, 9) }],
    'OVERLOADED after the head' => [0, qr/FCNG006/,
        sub { out($_[0], "${head}x") . end_request($_[0], 0, 2) }],
    # None of these is a failure.
    'P4: appStatus 938' => [200, qr/FCNG010.*status 938/,
        sub { out($_[0], "${head}body") . end_request($_[0], 938) }],
    'no end of STDOUT' => [200, undef, $good],
    'the end of STDERR' => [200, undef, sub { record(7, $_[0], '')
        . out($_[0], "${head}body") . record(7, $_[0], '')
        . record(6, $_[0], '') . end_request($_[0]) }],
    'END_REQUEST of 16 bytes' => [200, undef, sub {
        out($_[0], "${head}body")
        . record(FCNG::Wire::T_END_REQUEST, $_[0], "\0" x 16) }],
    'an unknown id' => [200, undef, sub { out(9, 'X-Evil: 1') . end_request(9)
        . $good->($_[0]) }],
    'P8: a management record' => [200, undef,
        sub { unknown_type(77) . $good->($_[0]) }],
    'an unknown type' => [200, undef,
        sub { record(77, $_[0], 'x' x 300) . $good->($_[0]) }],
    'values nobody asked for' => [200, undef, sub {
        record(FCNG::Wire::T_GET_VALUES_RESULT, 0, '') . $good->($_[0]) }],
    'reserved bytes' => [200, undef, sub { record(6, $_[0], "${head}body",
        reserved => 7, padding => 200) . end_request($_[0]) }],
    'STDERR within the head' => [200, qr/FCNG011.*STDERR: first part second/,
        sub { out($_[0], 'Content-Ty') . err($_[0], 'first part ')
            . out($_[0], "pe: text/plain\r\n\r") . err($_[0], "second\n")
            . out($_[0], "\nbody") . end_request($_[0]) }],
);
my @names = sort keys %case;

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(connection => sub {
        my ($conn) = @_;
        while (my $r = $conn->next_request) {
            $r->body;
            my ($n) = $r->action =~ /^case(\d+)$/;
            my (undef, undef, $bytes, $then) = defined $n
                ? @{ $case{$names[$n]} } : (0, 0, $good, 'keep');
            $conn->send($bytes->($r->{id}));
            $conn->wait_closed(10) if ($then // '') eq 'stall';
            return if ($then // 'close') ne 'keep';
        }
    });
    my %slow = (options => { read_timeout => '1s' });
    $host->location('/app/', app => $app, %slow);
    $host->location('/none/', address => 'unix:/nonexistent/app.sock');
    my $port = FCNG::Util::free_port();
    $host->location('/closed/', address => "127.0.0.1:$port");
    $host->start;

    for my $n (0 .. $#names) {
        my ($status, $log) = @{ $case{$names[$n]} };
        my $what = $names[$n];
        $host->mark_log;
        $app->forget;
        my $r = $host->get("/app/case$n", seconds => 5);
        if ($status) {
            is($r->{status}, $status, "$what: status") or diag $host->new_log;
        }
        else {
            # An error as any other, when nothing had gone out yet.
            ok(!$r->{complete} || $r->{status} >= 500,
                "$what: never looks complete");
            unlike($r->{error} // '', qr/timeout/, "$what: and ends");
        }
        is($r->{body}, 'body', "$what: body") if $status == 200;
        is($r->header('Retry-After'), 1, "$what: Retry-After")
            if $status == 503;
        if ($log) {
            my $line = $host->wait_log($log);
            ok(defined $line, "$what: the log says why")
                or diag "wanted $log:\n" . $host->new_log;
            like($line // '', qr/\Q@{[ $app->path ]}\E|$port/,
                "$what: and where") if $status != 200;
            like($line // '', qr{/app/case$n\b}, "$what: and for whom")
                if $status != 200 || $host->is_nginx;
        }
        # GET may be sent once more to one that closed without a byte, as one
        # that is restarted does, or that sent no records on a kept
        # connection, as when an earlier answer ends late; nothing else is
        # repeated.
        my $most = $what eq 'P18: dies before the head' || $log && $log =~ /FCNG005/
            ? 2
            : $what eq 'P4: CANT_MPX_CONN' ? 3 : 1;
        cmp_ok(scalar $app->events('request'), '<=', $most,
            "$what: not repeated");
        is($host->get('/app/good')->{body}, 'body', "$what: the next one")
            if $n % 5 == 0;
    }

    # The host's convention for an application that is not there.
    my $refused = $host->is_nginx ? 502 : 503;
    for my $try (['/none/', qr/No such file/, '/nonexistent/app.sock'],
            ['/closed/', qr/refused/, "127.0.0.1:$port"]) {
        my ($path, $why, $where) = @$try;
        $host->mark_log;
        my $r = $host->get($path, seconds => 5);
        is($r->{status}, $refused, "$path: status");
        my $line = $host->wait_log($why);
        like($line, $why, "$path: the log says why");
        like($line // '', qr/\Q$where\E/, "$path: and where");
    }

    # The body that was not read does not get in the way of the next request.
    my $client = $host->client;
    my ($n) = grep { $names[$_] eq 'P4: OVERLOADED' } 0 .. $#names;
    my $r = $client->request_on('POST', "/app/case$n",
        body => 'x' x 300_000, seconds => 10);
    is($r->{status}, 503, 'a request with a body');
    if (!defined $client->{eof} && ($r->header('Connection') // '')
            !~ /close/i) {
        $r = $client->request_on('GET', '/app/good', seconds => 5);
        is($r->{body}, 'body', 'and the next one of that client');
    }
    $client->close;
});
