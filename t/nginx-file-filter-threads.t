# SPDX-License-Identifier: BSD-2-Clause
#
# `aio threads`: what a Filter is sent of a file is read in nginx's threads.
# The worker goes on meanwhile, and nothing that becomes of the request, its
# client or its application disturbs a read or is disturbed by it.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use Errno qw(EIO);
use FCNG::App;
use FCNG::HTTP qw(curl);
use FCNG::Hosts;
use FCNG::Reads;
use FCNG::Util qw(find_tool random_bytes run_bounded wait_until);
use Test::More;
use Time::HiRes qw(sleep);

my $missing = FCNG::Reads->missing;
plan skip_all => $missing if $missing;

my $plain = "Content-Type: text/plain\r\n";
my $body = random_bytes(300_000, 'body');
my %file = (empty => '', one => 'x', record => random_bytes(65_528),
    large => random_bytes(4 * 1024 * 1024 + 5, 'large'));
$file{64} = random_bytes(65_536);
$file{huge} = random_bytes(1024 * 1024, 'huge') x 20;

sub sum { sha256_hex($_[0]) . ' ' . length $_[0] }

# What the application does stands in the query.
my %does = (
    early => sub { $_[0]->answer("${plain}Content-Length: 5\r\n\r\nearly") },
    dies => sub { $_[0]->die_now },
    head => sub {
        my ($r) = @_;
        $r->out("$plain\r\nhead");
        sleep 0.1;
        $r->die_now;
    },
    waits => sub {
        my ($r) = @_;
        1 while defined $r->read_data;
        $r->note('left', how => $r->{gone});
    },
    stream => sub {
        my ($r) = @_;
        $r->out("$plain\r\n");
        while (defined(my $piece = $r->read_data)) { $r->out(uc $piece) }
        $r->end;
    },
);

sub filter {
    my ($r) = @_;
    my $stdin = $r->body;
    my $do = $does{ $r->env('QUERY_STRING') // '' };
    return $do->($r) if $do;
    my $data = $r->data;
    return if $r->{gone};
    return $r->answer("$plain\r\n" . sum($data) . ' ' . sum($stdin));
}

sub has_threads {
    my ($host) = @_;
    my (undef, $out, $err) = run_bounded(10, $host->binary, '-V');
    return "$out$err" =~ /--with-threads/;
}

sub sent { FCNG::HTTP::head('GET', $_[0], port => $_[1]->port) }

sub contents {
    my ($host, $reads) = @_;
    my $none = sum('');
    for my $name (sort keys %file) {
        is($host->get("/t/$name")->{body}, sum($file{$name}) . " $none",
            "$name: " . length($file{$name}) . ' bytes');
    }
    is($reads->in_main, 0, 'none of it was read by the worker itself');
    cmp_ok($reads->in_threads, '>=', 20 * 16, 'but in threads');
    is($host->post('/t/large', $body)->{body},
        sum($file{large}) . ' ' . sum($body), 'behind a body');
    is(sum($host->get('/t/large?stream')->{body}), sum(uc $file{large}),
        'both ways at once');
    my @clients = map { $host->client->send(sent('/cached/huge', $host)) }
        1 .. 3;
    is($_->response->{body}, sum($file{huge}) . " $none",
        'one of several clients of a descriptor') for @clients;
    $reads->forget;
    is($host->get('/named/large')->{body}, sum($file{large}) . " $none",
        'a pool with a name');
    is($host->get('/variable/large')->{body}, sum($file{large}) . " $none",
        'and one that a variable names');
    is($reads->in_main, 0, 'in threads as well');
    $host->mark_log;
    is($host->get('/unknown/large')->{status}, 502, 'a pool that is not there');
    like($host->new_log, qr/thread pool "nosuch" not found/, 'with a line');
    $reads->forget;
    is($host->get('/off/large')->{body}, sum($file{large}) . " $none",
        'without aio threads');
    is($reads->in_threads, 0, 'the worker reads itself');
    $reads->forget;
    is($host->get('/out/large')->{body}, sum($file{large}) . " $none",
        'what fastcgi_ng_output_filter has spooled');
    is($reads->in_main, 0, 'is read there, too');
}

# While a read is held.
sub held {
    my ($reads, $n, $code) = @_;
    $reads->hold;
    $code->('begin');
    ok(wait_until(5, sub { $reads->waiting >= $n }), "$n under way")
        or diag($reads->waiting . ' are, line ' . (caller)[2]);
    $code->('meanwhile');
    $reads->go_on;
    ok(wait_until(5, sub { !$reads->waiting }), 'and done');
    $code->('then');
}

sub goes_on {
    my ($host, $reads) = @_;
    my $none = sum('');
    my $client = $host->client;
    my %step = (
        begin => sub { $client->send(sent('/t/large', $host)) },
        meanwhile => sub {
            is($host->get('/index.html', seconds => 3)->{status}, 200,
                'the worker answers others while a file is read');
        },
        then => sub {
            is($client->response->{body}, sum($file{large}) . " $none",
                'and then that one');
        });
    held($reads, 1, sub { $step{$_[0]}->() });
}

sub client_leaves {
    my ($host, $reads, $app) = @_;
    for my $path ('/t/large', '/t/large?stream') {
        my $client = $host->client;
        $app->forget;
        my %step = (
            begin => sub { $client->send(sent($path, $host)) },
            meanwhile => sub {
                $client->close;
                ok($app->wait_event('close', seconds => 5),
                    'the application is rid of the request at once');
            },
            then => sub { });
        held($reads, 1, sub { $step{$_[0]}->() });
        is($host->get('/t/one')->{status}, 200, "$path: a client has left");
    }
}

# A response that is complete before the read is.
sub answers_early {
    my ($host, $reads) = @_;
    my $client = $host->client;
    my %step = (
        begin => sub { $client->send(sent('/t/large?early', $host)) },
        meanwhile => sub {
            is($client->response(seconds => 3)->{body}, 'early',
                'an answer comes while the file is read');
            $client->send(sent('/t/one', $host));
            sleep 0.2;
        },
        then => sub {
            like($client->response->{body}, qr/ 1 /,
                'and the next one on that connection');
        });
    held($reads, 1, sub { $step{$_[0]}->() });
}

sub next_server {
    my ($host, $reads) = @_;
    my $none = sum('');
    my $client = $host->client;
    my %step = (
        begin => sub { $client->send(sent('/two/large?next', $host)) },
        meanwhile => sub { },
        then => sub {
            is($client->response->{body}, sum($file{large}) . " $none",
                'from its beginning for another server');
        });
    # both servers' reads
    held($reads, 2, sub { $step{$_[0]}->() });
    is($host->post("/$_/large?next", $body)->{body},
        sum($file{large}) . ' ' . sum($body),
        "and so is a body in a file before it, $_") for qw(two alone);
    $client = $host->client;
    $step{begin} = sub { $client->send(sent('/t/large?dies', $host)) };
    $step{meanwhile} = sub {
        is($client->response(seconds => 3)->{status}, 502,
            'an application that dies meanwhile');
    };
    $step{then} = sub { };
    held($reads, 1, sub { $step{$_[0]}->() });
    $client = $host->client;
    $step{begin} = sub { $client->send(sent('/t/large?head', $host)) };
    $step{meanwhile} = sub {
        my $r = $client->response(seconds => 3);
        ok($r->{status} == 200 && !$r->{complete}, 'and behind its head');
    };
    held($reads, 1, sub { $step{$_[0]}->() });
}

sub times_out {
    my ($host, $reads) = @_;
    for my $of (qw(send request)) {
        my $client = $host->client;
        my %step = (
            begin => sub { $client->send(sent("/$of/large?waits", $host)) },
            meanwhile => sub {
                is($client->response(seconds => 5)->{status}, 504,
                    "${of}_timeout while the file is read");
            },
            then => sub { });
        held($reads, 1, sub { $step{$_[0]}->() });
    }
}

sub cannot_read {
    my ($host, $reads) = @_;
    $host->mark_log;
    $reads->fails(EIO);
    is($host->get('/t/large')->{status}, 502, 'an error of the disk');
    like($host->new_log, qr{pread\(\) "[^"]*/t/large" failed},
        'and the file is named');
    $reads->fails(0);
    my $path = $host->file('t/shrinks', $file{large});
    my $client = $host->client;
    my %step = (
        begin => sub { $client->send(sent('/t/shrinks', $host)) },
        meanwhile => sub { truncate $path, 100_000 },
        then => sub {
            is($client->response->{status}, 502, 'a file that shrinks');
            like($host->new_log, qr{read only \d+ of \d+ from "[^"]*shrinks"},
                'and is named');
        });
    held($reads, 1, sub { $step{$_[0]}->() });
}

sub shared {
    my ($host, $reads, $mux) = @_;
    my $none = sum('');
    is($host->get('/mux/one')->{status}, 200, 'a shared connection');
    my @clients = map { $host->client } 1 .. 3;
    my %step = (
        begin => sub { $_->send(sent('/mux/large', $host)) for @clients },
        meanwhile => sub {
            is($host->get('/mux/empty', seconds => 3)->{status}, 200,
                'is there for others while three read');
            $clients[0]->close;
            sleep 0.1;
        },
        then => sub {
            is($_->response->{body}, sum($file{large}),
                'and serves those that stay') for @clients[1, 2];
        });
    held($reads, 3, sub { $step{$_[0]}->() });
}

sub http2 {
    my ($host, $reads) = @_;
    my $url = 'http://127.0.0.1:' . $host->http2_port . '/t/large';
    my $r = curl('--http2-prior-knowledge', $url);
    is($r->{out}, sum($file{large}) . ' ' . sum(''), 'HTTP/2');
    my %step = (
        begin => sub {
            $r = curl('--http2-prior-knowledge', '--max-time', 1, $url);
        },
        meanwhile => sub { is($r->{exit}, 28, 'whose client leaves') },
        then => sub { });
    held($reads, 1, sub { $step{$_[0]}->() });
}

sub worker_ends {
    my ($host, $reads) = @_;
    my $client = $host->client;
    my ($old) = $host->workers;
    my %step = (
        begin => sub { $client->send(sent('/t/large', $host)) },
        meanwhile => sub {
            ok($host->reload(keep_old => 1), 'a reload');
            ok(kill(0 => $old), 'the old worker waits for the read');
        },
        then => sub {
            is($client->response->{status}, 200, 'and answers');
            ok(wait_until(5, sub { !kill 0 => $old }), 'before it ends');
        });
    held($reads, 1, sub { $step{$_[0]}->() });
    # left, and nothing but the read is there to wait for
    $client = $host->client;
    ($old) = $host->workers;
    $step{meanwhile} = sub {
        $client->close;
        ok($host->reload(keep_old => 1), 'another one, and no client');
        sleep 0.2;
        ok(kill(0 => $old), 'the old worker waits all the same');
    };
    $step{then} = sub {
        ok(wait_until(5, sub { !kill 0 => $old }), 'and ends');
    };
    held($reads, 1, sub { $step{$_[0]}->() });
}

FCNG::Hosts->each(only => 'nginx', http2 => 1, sub {
    my ($host) = @_;
    plan skip_all => 'nginx without threads' if !has_threads($host);
    my @places = qw(t cached named variable unknown off out two alone send request
        mux);
    my $reads = FCNG::Reads->new($host, 'tmp/fastcgi_ng',
        map { "htdocs/$_/" } @places);
    my $app = FCNG::App->new(request => \&filter);
    my $next = FCNG::App->new(request => sub {
        my ($r) = @_;
        return filter($r) if $r->{env}{QUERY_STRING} ne 'next';
        $r->die_now;
    });
    my $mux = FCNG::App->new(multiplex => sub {
        my ($r) = @_;
        $r->queue("$plain\r\n" . sum($r->data));
        $r->finish;
    });
    for my $place (@places) {
        $host->file("$place/$_", $file{$_}) for keys %file;
    }
    my $threads = "aio threads;\n";
    $host->file_filter('/t/', app => $app, nginx => $threads);
    $host->file_filter('/cached/', app => $app, nginx =>
        "${threads}open_file_cache max=10;\nopen_file_cache_min_uses 1;\n");
    $host->file_filter('/named/', app => $app, nginx => "aio threads=few;\n");
    $host->file_filter('/variable/', app => $app,
        nginx => "set \$of few;\naio threads=\$of;\n");
    $host->file_filter('/unknown/', app => $app,
        nginx => "set \$of nosuch;\naio threads=\$of;\n");
    $host->file_filter('/off/', app => $app);
    $host->output_filter('/out/', app => $app, nginx => $threads,
        options => { output_filter_types => '*' });
    my %again = (next_upstream => 'error non_idempotent');
    $host->file_filter('/two/', apps => [$next, $app], nginx => $threads,
        options => \%again);
    $host->file_filter('/alone/', apps => [$next, $app], options => \%again);
    $host->file_filter('/send/', app => $app, nginx => $threads,
        options => { send_timeout => '1s' });
    $host->file_filter('/request/', app => $app, nginx => $threads,
        options => { request_timeout => '1s' });
    $host->file_filter('/mux/', app => $mux, nginx => $threads,
        pool => { multiplex => 'on' });
    $host->expect(qr/pread\(\) "[^"]*" failed/, qr/read only \d+ of \d+ from/,
        qr/FCNG\d+/);
    $host->{top_text} = "thread_pool few threads=2;\n";
    $host->start;

    contents($host, $reads);
    goes_on($host, $reads);
    client_leaves($host, $reads, $app);
    answers_early($host, $reads);
    next_server($host, $reads);
    times_out($host, $reads);
    cannot_read($host, $reads);
    shared($host, $reads, $mux);
    SKIP: {
        skip 'curl missing', 1 if !find_tool('curl');
        http2($host, $reads);
    }
    worker_ends($host, $reads);
});
