# SPDX-License-Identifier: BSD-2-Clause
#
# A filtered response's way in nginx: slow applications and clients, clients
# that leave, small buffers, HTTP/2, limits, shared connections, threads,
# parts of a page that fail.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::HTTP qw(curl nghttp);
use FCNG::Hosts;
use FCNG::Util qw(find_tool random_bytes slurp wait_until);
use Test::More;
use Time::HiRes qw(sleep time);

my $large = random_bytes(3 * 1024 * 1024 + 7, 'page');
my $html = "Content-Type: text/html\r\n\r\n";

my %filter = (
    slow => sub { sleep 2; $_[0]->answer($html . 'slow') },
    wait => sub {
        my ($r) = @_;
        $r->note('waiting');
        $r->note('gone', how => $r->conn->wait_closed(10));
        $r->die_now;
    },
    cut => sub { $_[0]->data; $_[0]->out($html . 'half'); $_[0]->die_now },
    dies => sub { $_[0]->data; $_[0]->die_now },
    pieces => sub {
        my ($r) = @_;
        $r->data;
        $r->out($html . 'first ');
        sleep 0.5;
        $r->out('second');
        $r->end;
    },
    # more than twice as much as it reads, and before it has read
    twice => sub {
        my ($r) = @_;
        $r->out($html . 'x' x 500_000);
        my $sum = Digest::SHA->new(256);
        while (defined(my $piece = $r->read_data)) {
            $sum->add($piece);
            $r->out($piece x 2);
        }
        $r->out($sum->hexdigest);
        $r->end;
    },
);

sub filter {
    my ($r) = @_;
    my $query = $r->env('QUERY_STRING') // '';
    $r->body;
    return $filter{$1}->($r) if $query =~ /f=(\w+)/;
    my $data = $r->data;
    return $r->{gone} ? undef : $r->answer($html . uc $data);
}

sub original {
    my ($r) = @_;
    $r->body;
    my $name = ($r->env('SCRIPT_NAME') // '') . ($r->env('PATH_INFO') // '');
    if ($name =~ /cutpage/) {
        $r->out($html . '(<!--#include virtual="/part/slow" -->)');
        sleep 0.1;
        return $r->die_now;
    }
    return $r->answer($html . '(<!--#include virtual="/part/dies" -->)')
        if $name =~ /brokenpage/;
    return $r->answer($html . '(<!--#include virtual="/part/x" -->)'
        . $large) if $name =~ /largepage/;
    sleep 0.5 if $name =~ /slow/;
    return $r->die_now if $name =~ /dies/;
    return $r->answer($html . 'part');
}

FCNG::Hosts->each(only => 'nginx', http2 => 1, sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => \&filter);
    my $origin = FCNG::App->new(request => \&original);
    my $few = FCNG::App->new(workers => 2, request => \&filter);
    my $mux = FCNG::App->new(multiplex => sub {
        my ($r) = @_;
        $r->queue($html . uc $r->data);
        $r->finish;
    });
    for (qw(p small off threads mux few limited pass)) {
        $host->file("$_/a.html", 'a page');
        $host->file("$_/large.html", $large);
    }
    my ($o) = $host->addresses(app => $origin);
    $host->main(nginx => "types { text/html html; }\nlog_format filter '"
        . '$fastcgi_ng_pool $fastcgi_ng_app_status $fastcgi_ng_queue_time '
        . "\$status';");
    $host->server(nginx => "send_timeout 1s;\n"
        . "location /part/ { fastcgi_ng_pass $o; fastcgi_ng_mount on; }");
    $host->output_filter('/p/', app => $app);
    $host->output_filter('/small/', app => $app, options => {
        buffers => '2 1k', buffer_size => '1k', busy_buffers_size => '1k',
        max_temp_file_size => 0 });
    $host->output_filter('/off/', app => $app,
        options => { buffering => 'off' });
    $host->output_filter('/threads/', app => $app,
        nginx => "sendfile on; aio threads; gzip on;\n");
    $host->output_filter('/limited/', app => $app,
        nginx => "limit_rate 1m;\n");
    $host->output_filter('/mux/', app => $mux,
        pool => { multiplex => 'on' });
    $host->output_filter('/few/', app => $few,
        pool => { max_connections => 2 });
    $host->output_filter('/ssi/', app => $app, original => $origin,
        nginx => "ssi on;\n");
    $host->output_filter('/ssipass/', app => $app, original => $origin,
        options => { output_filter_on_error => 'pass',
            output_filter_max_size => '100k' }, nginx => "ssi on;\n");
    $host->output_filter('/pass/', app => $app,
        options => { output_filter_on_error => 'pass' });
    $host->output_filter('/ssifail/', app => $app, original => $origin,
        options => { output_filter_max_size => '100k' },
        nginx => "ssi on;\n");
    $host->output_filter('/logged/', app => $app, nginx =>
        'alias ' . $host->docroot . "/p/;\naccess_log "
        . $host->dir . "/logs/filter.log filter;\n");
    $host->output_filter('/timed/', app => $app, nginx =>
        'alias ' . $host->docroot . '/p/;',
        options => { request_timeout => '1s' });
    $host->expect(qr/FCNG\d+|prematurely|timed out/);
    $host->start;

    my $upper = sha256_hex(uc $large);
    my $r = $host->get('/p/a.html?f=slow');
    is($r->{body}, 'slow', "send_timeout does not count for applications");
    $r = $host->get('/timed/a.html?f=slow');
    is($r->{status}, 504, 'request_timeout does');
    for (qw(p small off threads mux few)) {
        $r = $host->get("/$_/large.html");
        is(sha256_hex($r->{body}), $upper, "/$_/: 3 MiB");
        next if /mux/;
        $r = $host->get("/$_/large.html?f=twice", seconds => 20);
        is(substr($r->{body}, 500_000 + 2 * length $large),
            sha256_hex($large), "/$_/: writes more than it reads");
    }
    my $start = time;
    $r = $host->get('/limited/large.html');
    is(sha256_hex($r->{body}), $upper, 'limit_rate');
    cmp_ok(time - $start, '>', 1.5, 'limits');
    $r = $host->get('/off/a.html?f=pieces');
    cmp_ok(@{ $r->{pieces} } ? $r->{pieces}[-1][0] - $r->{pieces}[0][0] : 0,
        '>', 0.3, 'pieces as they come') or diag explain $r->{pieces};
    $r = curl('--compressed', '-v', $host->url('/threads/large.html'));
    is(sha256_hex($r->{out}), $upper, 'compressed');
    like($r->{err}, qr/Content-Encoding: gzip/, 'indeed');

    $r = curl('--compressed', '--limit-rate', '4M',
        $host->url('/threads/large.html?f=twice'));
    is(substr($r->{out}, 500_000 + 2 * length $large), sha256_hex($large),
        'for a slow client, from a temporary file');

    # ---- many at once
    for my $place (qw(mux few p)) {
        my @clients = map { $host->client } 1 .. 12;
        $_->send(FCNG::HTTP::head('GET', "/$place/large.html",
            port => $host->port)) for @clients;
        is(scalar(grep { sha256_hex($_->response->{body}) eq $upper }
            @clients), 12, "/$place/: twelve at once");
    }
    cmp_ok(scalar(() = $few->events('accept')), '<=', 30,
        'on few connections');

    # ---- HTTP/2
    my $url = 'http://127.0.0.1:' . $host->http2_port;
    my @h2 = ('--http2-prior-knowledge');
    $r = curl(@h2, "$url/p/large.html");
    is(sha256_hex($r->{out}), $upper, 'HTTP/2');
    $r = curl(@h2, "$url/p/a.html?f=cut");
    is($r->{exit}, 92, 'a response that is cut is a stream that breaks');
    $r = curl(@h2, '-o', '/dev/null', '-w', '%{http_code}',
        "$url/p/a.html?f=dies");
    is($r->{out}, 502, 'none is 502');
    $r = curl(@h2, '-I', "$url/p/a.html");
    is($r->{exit}, 0, 'HEAD');
    for my $way ([$host->url(''), 'HTTP/1.1'], [$url, @h2]) {
        my ($base, @how) = @$way;
        @how = () if $how[0] eq 'HTTP/1.1';
        my @slowly = (@how, '--limit-rate', '4M');
        $r = curl(@slowly, "$base/p/large.html");
        is(sha256_hex($r->{out}), $upper, "a slow client: @how");
        $r = curl(@slowly, "$base/pass/large.html?f=dies");
        is(sha256_hex($r->{out}), sha256_hex($large),
            "that gets the original: @how");
    }
    SKIP: {
        skip 'nghttp missing', 1 if !find_tool('nghttp');
        $r = nghttp('-n', '-m', 6, "$url/p/large.html",
            "$url/p/a.html?f=dies", "$url/ssi/page");
        is($r->{exit}, 0, 'many streams');
    }

    # ---- parts
    $r = $host->get('/ssi/cutpage');
    is($r->{status}, 502, 'a page that is cut while a part comes');
    unlike($r->{body}, qr/part/i, 'nothing of it');
    $r = $host->get('/ssi/brokenpage');
    like($r->{body}, qr/^\(.*502 BAD GATEWAY.*\)$/s,
        'a part that fails is part of the page');
    $r = $host->get('/ssipass/largepage');
    ok($r->{body} eq "(part)$large", 'a page too large behind its part');
    $r = $host->get('/ssifail/largepage');
    is($r->{status}, 502, 'which fails');
    unlike($r->{body}, qr/part/i, 'without a word of it');
    $r = $host->get('/ssipass/x?f=dies');
    is($r->{body}, 'part', 'the original, SSI and all');

    $host->get('/logged/a.html');
    my $log = $host->dir . '/logs/filter.log';
    ok(wait_until(3, sub { -s $log }), 'a line in the log');
    is(slurp($log), $app->address . " 0 0.000 200\n", 'tells of the filter');

    # ---- clients that leave
    $app->forget;
    my $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', '/p/large.html?f=wait',
        port => $host->port));
    ok($app->wait_event('waiting'), 'an application is asked');
    $client->close;
    ok($app->wait_event('gone', seconds => 3), 'and told that nobody waits');
    for my $n (1 .. 40) {
        my $client = $host->client;
        $client->send(FCNG::HTTP::head('GET', '/'
            . (qw(p off threads ssi limited))[$n % 5] . '/large.html',
            port => $host->port));
        sleep 0.002 * ($n % 7);
        $client->close;
    }
    is($host->get('/p/a.html')->{body}, 'A PAGE', 'all is well');
    ok($host->reload, 'reload');
    is($host->get('/p/a.html')->{body}, 'A PAGE', 'and again');
});
