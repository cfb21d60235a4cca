# SPDX-License-Identifier: BSD-2-Clause
#
# Apache's output filter and failures: of the application, with
# FastCgiNgOutputFilterOnError pass and fail; of the original; by HTTP/1.1 and
# HTTP/2; whatever makes the original.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP qw(curl);
use FCNG::Hosts;
use FCNG::Origin;
use FCNG::Util qw(free_port spew wait_until);
use Test::More;

sub filter {
    my ($r) = @_;
    my $do = $r->env('QUERY_STRING') // '';
    return $r->die_now if $do eq 'before';
    return $r->end(0, 3) if $do eq 'role';
    return $r->end(0, 2) if $do eq 'overloaded';
    return $r->text('early') if $do eq 'early';
    my $data = $r->data;
    return if $r->{gone};
    return $r->die_now if $do eq 'after-data';
    if ($do eq 'in-head') {
        $r->out("Content-Type: text/pl");
        return $r->die_now;
    }
    return $r->answer("no head\n\n") if $do eq 'bad';
    if ($do eq 'after-head') {
        $r->out("X-App: 1\r\n\r\nhalf");
        select undef, undef, undef, 0.2;
        return $r->die_now;
    }
    if ($do eq 'short') {
        $r->out("Content-Length: 100\r\n\r\nhalf");
        return $r->end;
    }
    if ($do eq 'slow') {
        $r->conn->wait_closed(10);
        return $r->die_now;
    }
    return $r->answer("\r\n<$data>");
}

# Originals that break off, by whatever made them.
sub page {
    my ($socket, $path) = @_;
    if ($path =~ /cut/) {
        print $socket "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
            . "Content-Length: 100\r\n\r\nhalf";
    }
    elsif ($path =~ /chunk/) {
        print $socket "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    }
    else {
        print $socket "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
            . "Connection: close\r\n\r\nwhole";
    }
}

# What curl says of a response: its status, its exit code, its body.
sub h2 {
    my ($host, $path) = @_;
    my $r = curl('--http2-prior-knowledge', '-w', '\n%{http_code}',
        $host->url($path));
    my ($body, $status) = $r->{out} =~ /^(.*)\n(\d+)$/s;
    return { status => $status, body => $body,
        complete => $r->{exit} == 0 };
}

FCNG::Hosts->each(only => 'apache', http2 => 1,
        load => [qw(proxy proxy_http deflate cgid)], sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub { $_[0]->body; filter($_[0]) });
    my $pages = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->body;
        my $do = $r->action;
        $r->out("Content-Type: text/html\r\n\r\n" . 'x' x 100_000);
        return $do eq 'cut' ? $r->die_now : $r->end;
    });
    my $origin = FCNG::Origin->new(\&page);
    my $to = 'http://127.0.0.1:' . $origin->port;
    my $root = $host->docroot;
    for my $dir (qw(fail pass down zip small ssi document limit)) {
        mkdir "$root/$dir";
        spew("$root/$dir/a.html", "a of $dir");
    }
    spew("$root/ssi/cut.html",
        'page <!--#include virtual="/proxy/cut" --> end');
    spew("$root/small/large.html", 'x' x 20_000);
    spew("$root/sorry.html", 'sorry');
    my %options = (read_timeout => '1s');
    $host->output_filter('/fail/', app => $app, options => { %options });
    $host->output_filter('/pass/', app => $app,
        options => { %options, output_filter_on_error => 'pass' });
    $host->output_filter('/proxy/', app => $app);
    $host->output_filter('/pages/', app => $app, apache =>
        "FastCgiNgPass pages\n");
    $host->output_filter('/zip/', app => $app,
        apache => "SetOutputFilter DEFLATE\n");
    $host->output_filter('/small/', app => $app,
        options => { output_filter_max_size => '10k' });
    $host->output_filter('/small-pass/', app => $app,
        options => { output_filter_max_size => '50k',
            output_filter_on_error => 'pass' },
        apache => "FastCgiNgPass pages\n");
    $host->output_filter('/small-fail/', app => $app,
        options => { output_filter_max_size => '50k' },
        apache => "FastCgiNgPass pages\n");
    $host->output_filter('/ssi/', app => $app,
        apache => "Options +Includes\nSetOutputFilter INCLUDES\n");
    $host->output_filter('/document/', app => $app,
        apache => "ErrorDocument 502 /sorry.html\n");
    $host->output_filter('/limit/', app => $app,
        pool => { max_connections => 1, max_queue => 0 });
    # Nobody but the filter sees that a script announces more than it sends.
    chmod 0755, $host->file('cgi/short.cgi', "#!/bin/sh\n"
        . "printf 'Content-Type: text/html\\nContent-Length: 9\\n\\nhalf'\n");
    $host->output_filter('/cgi/', app => $app, apache => "Options +ExecCGI\n"
        . "SetHandler cgi-script\nSetEnv ap_trust_cgilike_cl 1\n");
    $host->server(apache => 'FastCgiNgPool pages ' . $pages->address . "\n"
        . 'ScriptSock ' . $host->dir . "/tmp/cgisock\n"
        . 'FastCgiNgPool down 127.0.0.1:' . free_port() . "\n" . <<"CONF");
ProxyPass /proxy $to
<Location "/down">
    AddType text/html .html
    FastCgiNgOutputFilter down
    FastCgiNgOutputFilterOnError pass
</Location>
CONF
    $host->expect(qr/FCNG\d+:|AH\d+:/);
    $host->start;
    my %get = (
        'HTTP/1.1' => sub { $host->get($_[0]) },
        'HTTP/2' => sub { h2($host, $_[0]) },
    );
    my %status = (before => 502, role => 500, overloaded => 503,
        'after-data' => 502, 'in-head' => 502, bad => 502, slow => 504);

    for my $http (sort keys %get) {
        my $get = $get{$http};
        my $r = $get->('/fail/a.html');
        is("$r->{status} $r->{body}", '200 <a of fail>', "$http: a page");
        for my $do (sort keys %status) {
            $r = $get->("/fail/a.html?$do");
            is($r->{status}, $status{$do}, "$http: $do: $status{$do}");
            ok($r->{complete} && $r->{body} =~ /<html>/,
                "$http: $do: httpd's page");
            $r = $get->("/pass/a.html?$do");
            is("$r->{status} $r->{body}", '200 a of pass',
                "$http: $do: or as it was") if $do ne 'slow';
        }
        for my $do ('after-head', 'short') {
            $r = $get->("/fail/a.html?$do");
            ok($r->{status} != 200 || !$r->{complete},
                "$http: $do: no clean end");
        }
        $r = $get->('/fail/a.html?early');
        is("$r->{status} $r->{body}", '200 early', "$http: early");
        $r = $get->('/down/a.html');
        is("$r->{status} $r->{body}", '200 a of down', "$http: down");
        $r = $get->('/document/a.html?before');
        is("$r->{status} $r->{body}", '502 sorry', "$http: ErrorDocument");
        $r = $get->('/zip/a.html?before');
        is($r->{status}, 502, "$http: below mod_deflate");

        # ---- the original
        for my $path ('/proxy/cut', '/proxy/chunk', '/ssi/cut.html',
                '/pages/cut', '/cgi/short.cgi') {
            $r = $get->($path);
            ok($r->{status} == 502 && $r->{complete}, "$http: $path is 502");
        }
        is($get->('/proxy/whole')->{body}, '<whole>', "$http: a whole one");
        is($get->('/small/a.html')->{body}, '<a of small>', "$http: small");
        is($get->('/small/large.html')->{status}, 502, "$http: too large");
        is($get->('/small-fail/x')->{status}, 502,
            "$http: too large, of unknown length");
        is($get->('/small-pass/x')->{body}, 'x' x 100_000,
            "$http: as it was");
    }
    my $r = $host->get('/fail/a.html?overloaded');
    is($r->header('Retry-After'), 1, 'Retry-After');
    $r = $host->get('/pass/a.html?before');
    ok(defined $r->header($_), "$_ of the unfiltered one")
        for qw(ETag Last-Modified Content-Length Accept-Ranges);
    $r = $host->get('/fail/a.html?in-head');
    is($r->header('ETag'), undef, 'no ETag of an error');

    # ---- who leaves
    my $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', '/fail/a.html?slow',
        port => $host->port));
    ok($app->wait_event('request'), 'asked');
    $client->close;
    ok($app->wait_idle(3), 'and given up with its client');
    $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', $_, port => $host->port))
        for '/fail/a.html?before', '/pass/a.html?before', '/fail/a.html';
    is(join(' ', map { $client->response->{status} } 1 .. 3), '502 200 200',
        'three on one connection');

    my $log = $host->log;
    like($log, qr/FCNG007.*Filter, which FastCgiNgOutputFilter pool1 asks/,
        'the role in the log');
    like($log, qr/FCNG\d+: .*"GET \/proxy\/cut" broke off after 4 bytes/,
        'the cut original');
    like($log, qr/FCNG\d+: .*10240 bytes of FastCgiNgOutputFilterMaxSize/,
        'the limit');
    like($log, qr/goes out unfiltered/, 'and what passed');
});
