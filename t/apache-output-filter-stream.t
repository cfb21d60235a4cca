# SPDX-License-Identifier: BSD-2-Clause
#
# FastCgiNgOutputFilterBuffering off: a response goes to the application as it
# comes, with its length or without; both ways at once, of any size; what
# breaks off meanwhile.  And large responses that are held.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::HTTP qw(curl);
use FCNG::Hosts;
use FCNG::Origin;
use FCNG::Util qw(random_bytes spew wait_until);
use Test::More;
use Time::HiRes qw(time);

my $large = random_bytes(6 * 1024 * 1024 + 13, 'page');

sub filter {
    my ($r) = @_;
    my $do = $r->env('QUERY_STRING') // '';
    return $r->die_now if $do eq 'before';
    if ($do eq 'first') { # the whole answer before a byte of data
        $r->out("\r\n" . $large);
        return $r->end;
    }
    if ($do eq 'early') {
        $r->read_data;
        return $r->answer("\r\nearly");
    }
    if ($do eq 'stale' && $r->{n} > 1) {
        return $r->die_now;
    }
    $r->out('X-Length: ' . ($r->env('FCGI_DATA_LENGTH') // '-')
        . "\r\n\r\n");
    my $n = 0;
    while (defined(my $piece = $r->read_data)) {
        $r->note('piece', text => $piece) if length $piece < 100;
        $r->out($do eq 'twice' ? $piece . $piece : uc $piece) or return;
        if ($do eq 'dies' && ($n += length $piece) > 200_000) {
            return $r->die_now;
        }
    }
    return if $r->{gone};
    return $r->end;
}

FCNG::Hosts->each(only => 'apache', http2 => 1,
        load => [qw(proxy proxy_http deflate)], sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub { $_[0]->body; filter($_[0]) });
    # An original in pieces: the client sees the first one before the last is
    # made.  The one between is there because the first is waited for a moment
    # only, which may be too short on a busy machine.
    my $pages = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->body;
        my $do = $r->action;
        my $length = $do eq 'length' ? "Content-Length: 7\r\n" : '';
        $length = "Content-Length: 600\r\n" if $do eq 'cut-length';
        $r->out("Content-Type: text/html\r\n$length\r\none");
        $r->conn->wait_closed(10) if $do eq 'hang';
        select undef, undef, undef, 0.2;
        $r->out('-');
        $r->wait_gate($do) if $do ne 'cut-length';
        return $r->die_now if $do =~ /cut/;
        $r->out('two');
        return $r->end;
    });
    my $origin = FCNG::Origin->new(sub {
        my ($socket, $path) = @_;
        my $length = $path =~ /wrong/ ? 9_000_000 : length $large;
        print $socket "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n",
            $path =~ m{/known|wrong} ? "Content-Length: $length\r\n" : '',
            "Connection: close\r\n\r\n";
        for (my $at = 0; $at < length $large; $at += 30_000) {
            print $socket substr $large, $at, 30_000;
        }
    });
    my $to = 'http://127.0.0.1:' . $origin->port;
    $host->file('stream/large.html', $large);
    $host->file('stream/small.html', 'small');
    $host->file('held/large.html', $large);
    my @off = (options => { output_filter_buffering => 'off',
        output_filter_on_error => 'pass', output_filter_max_size => '1k' });
    $host->output_filter('/stream/', app => $app, @off);
    $host->output_filter('/held/', app => $app);
    $host->output_filter('/proxy/', app => $app, @off);
    $host->output_filter('/pages/', app => $app, @off,
        apache => "FastCgiNgPass pages\n");
    $host->server(apache => 'FastCgiNgPool pages ' . $pages->address
        . "\nProxyPass /proxy $to/proxy\nProxyPass /held/proxy $to/\n");
    $host->expect(qr/FCNG\d+:|AH\d+:/);
    $host->start;
    my ($upper, $twice) = (sha256_hex(uc $large), 2 * length $large);

    my $r = $host->get('/stream/small.html');
    is($r->header('X-Length') . " $r->{body}", '5 SMALL',
        'a small file, with its length') or diag $host->log;
    for my $path (qw(/stream/large.html /held/large.html /proxy/known
            /proxy/unknown /held/proxy/unknown)) {
        $r = $host->get($path);
        is(sha256_hex($r->{body}), $upper, "$path: 6 MiB, both ways at once");;
        is($r->header('X-Length'), $path =~ /^\/proxy.unknown/ ? '-'
            : length $large, 'with its length, where it is known');
        $r = $host->get("$path?twice");
        is(length $r->{body}, $twice, 'more comes back than goes');
        $r = $host->get("$path?first");
        is(sha256_hex($r->{body}), sha256_hex($large),
            'an answer that comes first');
        $r = $host->get("$path?early");
        is($r->{body}, 'early', 'one that does not wait for the rest');
        $r = $host->get("$path?dies");
        ok($r->{status} == 200 && !$r->{complete},
            'a death in the middle is no clean end');
    }
    my $h2 = curl('--http2-prior-knowledge', $host->url('/proxy/known'));
    is(sha256_hex($h2->{out}), $upper, 'HTTP/2');
    $h2 = curl('--http2-prior-knowledge', $host->url('/proxy/known?dies'));
    isnt($h2->{exit}, 0, 'HTTP/2: no clean end');

    # ---- as it comes
    for my $how ('open', 'length') {
        my $client = $host->client;
        $client->send(FCNG::HTTP::head('GET', "/pages/$how",
            port => $host->port));
        $r = $client->response(part => 1);
        $client->rest(bytes => 3, seconds => 5);
        like($r->{body}, qr/^ONE-?$/, "$how: the first part, before the last");
        $pages->open_gate($how);
        $client->rest;
        is("$r->{body} $r->{complete}", 'ONE-TWO 1', 'the rest');
        is($r->header('X-Length'), $how eq 'open' ? '-' : 7, 'its length');
    }

    # ---- the original breaks off
    my $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', '/pages/cut',
        port => $host->port));
    $r = $client->response(part => 1);
    $client->rest(bytes => 3, seconds => 5);
    $pages->open_gate('cut');
    $client->rest;
    ok(!$r->{complete}, 'after the answer began: no clean end');
    $r = $host->get('/pages/cut-length');
    ok(!($r->{status} == 200 && $r->{complete}), 'with a length');
    $r = $host->get('/proxy/wrong');
    ok(!($r->{status} == 200 && $r->{complete}),
        'an original shorter than it said');

    # ---- nothing was sent yet
    $r = $host->get('/stream/small.html?before');
    is("$r->{status} $r->{body}", '200 small', 'small: pass');
    $r = $host->get('/pages/open?before');
    is("$r->{status} $r->{body}", '200 one-two', 'pass, and the rest');
    $host->get('/stream/small.html?stale') for 1 .. 2;
    is($host->get('/stream/small.html?stale')->{body}, 'SMALL',
        'a kept connection that was dead');

    # ---- who leaves
    $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', '/pages/hang',
        port => $host->port));
    $r = $client->response(part => 1);
    $client->close;
    $pages->open_gate('hang');
    ok($pages->wait_idle(3), 'the original is given up');
    ok($app->wait_idle(5), 'and the filter');
});
