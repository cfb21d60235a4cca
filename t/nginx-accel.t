# SPDX-License-Identifier: BSD-2-Clause
#
# What an application tells nginx by X-Accel-* fields, and which fields of its
# head reach the client: hidden ones, passed ones, ignored ones; byte ranges
# of what it sends; limits of its rate.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(random_bytes);
use Test::More;
use Time::HiRes qw(time);

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $bytes = random_bytes(300_000);
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $do = $r->action;
        my $query = $r->env('QUERY_STRING') // '';
        my %head;
        if ($do eq 'redirect') {
            $r->body;
            return $r->answer("X-Accel-Redirect: $query\r\n"
                . "Content-Type: text/x-mine\r\nSet-Cookie: seen=1\r\n"
                . "Content-Disposition: attachment\r\n"
                . "Content-Length: 5\r\n\r\nunused body of the application");
        }
        if ($do eq 'named') {
            return $r->answer("X-Accel-Redirect: \@other\r\n\r\n");
        }
        if ($do eq 'local') {
            return $r->answer("Location: $query\r\n\r\n");
        }
        if ($do =~ /^buffering-(\w+)$/) {
            $r->out("X-Accel-Buffering: $1\r\n"
                . "Content-Type: text/plain\r\n\r\nfirst ");
            $r->wait_gate('go', 5);
            $r->out('second');
            return $r->end;
        }
        if ($do eq 'rate') {
            return $r->text('x' x 4000, 'X-Accel-Limit-Rate' => 1000);
        }
        if ($do eq 'charset') {
            return $r->text('x', 'X-Accel-Charset' => 'koi8-r');
        }
        if ($do eq 'ranges') {
            return $r->answer("Content-Type: application/x-bytes\r\n"
                . 'Content-Length: ' . length($bytes) . "\r\n"
                . ($query eq 'accept' ? "Accept-Ranges: bytes\r\n" : '')
                . "\r\n$bytes");
        }
        if ($do eq 'fields') {
            %head = ('X-One' => 1, 'X-Two' => 2, 'X-Powered-By' => 'me',
                'Set-Cookie' => 'a=b', 'X-Accel-Expires' => 0,
                Date => 'yesterday', Server => 'mine');
        }
        $head{'X-Seen'} = $r->env('REQUEST_METHOD') . ' '
            . ($r->env('REQUEST_URI') // '') . ' '
            . ($r->env('PATH_INFO') // '');
        return $r->text("$do " . length $r->body, %head);
    });
    $host->file('private/file.txt', 'private file');
    $host->server(nginx => "location /private/ { internal; }\n");
    $host->location('/app/', app => $app);
    $host->location('/other/', app => $app);
    $host->location('/deaf/', app => $app,
        options => { ignore_headers => 'X-Accel-Redirect X-Accel-Limit-Rate '
            . 'X-Accel-Buffering' });
    $host->location('/hidden/', app => $app, nginx =>
        "fastcgi_ng_hide_header X-One;\nfastcgi_ng_hide_header X-POWERED-BY;\n"
        . "fastcgi_ng_pass_header X-Accel-Expires;\n"
        . "fastcgi_ng_hide_header Server;\nfastcgi_ng_hide_header Date;\n");
    $host->location('/forced/', app => $app,
        options => { force_ranges => 'on' });
    $host->location('/named/', app => $app,
        nginx => "charset utf-8;\ncharset_types text/plain;\n");
    # (nginx has to know the charset)
    $host->server(nginx => "location /koi/ { charset koi8-r; }\n");
    $host->location('/unbuffered/', app => $app,
        options => { buffering => 'off', limit_rate => 4000 });
    $host->location('/rated/', app => $app, options => { limit_rate => 2000,
        buffer_size => 1024, buffers => '4 1024',
        busy_buffers_size => 1024 });
    $host->server(nginx => "location \@other {\n"
        . 'fastcgi_ng_pass ' . $app->address . ";\n"
        . "fastcgi_ng_param PATH_INFO /at-other;\n}\n");
    $host->start;

    # X-Accel-Redirect.
    my $r = $host->get('/app/redirect?/private/file.txt');
    is("$r->{status} $r->{body}", '200 private file',
        'X-Accel-Redirect to a file');
    is($r->header('Content-Type'), 'text/x-mine', 'its type is the one told');
    is($r->header('Set-Cookie'), 'seen=1', 'cookies go along');
    is($r->header('X-Accel-Redirect'), undef, 'the word itself does not');
    $r = $host->get('/app/redirect?/private/none');
    is($r->{status}, 404, 'to a file that is not there');
    $r = $host->get('/private/file.txt');
    is($r->{status}, 404, 'which nobody gets by himself');
    $r = $host->post('/app/redirect?/other/echo%3fx', 'body');
    like("$r->{status} $r->{body}", qr/^200 echo\?x /,
        'to another application');
    is($r->header('X-Seen'), 'GET /app/redirect?/other/echo%3fx /echo?x',
        'which gets the new path, and GET');
    $r = $host->get('/app/named');
    is($r->{body}, 'at-other 0', 'to a named location');
    $r = $host->request('HEAD', '/app/redirect?/private/file.txt');
    ok($r->{status} == 200 && $r->{complete}, 'HEAD');
    is($r->header('Content-Length'), 12, 'has the length of the file');
    my $client = $host->client;
    is($client->request_on('GET', '/app/redirect?/private/file.txt')->{body},
        'private file', 'one after the other');
    is($client->request_on('GET', '/app/plain')->{body}, 'plain 0',
        'on one connection');
    $client->close;
    $r = $host->get('/deaf/redirect?/private/file.txt');
    is($r->{body}, 'unuse', 'X-Accel-Redirect ignored');
    is($host->get('/app/local?/other/x')->{body}, 'x 0',
        'a Location of this server is served at once');
    is($host->get('/app/local?http://elsewhere/')->{status}, 302,
        'another one is told');

    # X-Accel-Buffering.
    for my $case (['/app/buffering-no', 1], ['/app/buffering-yes', 0],
            ['/deaf/buffering-no', 0], ['/unbuffered/buffering-yes', 0],
            ['/unbuffered/plain', undef]) {
        my ($path, $early) = @$case;
        next if !defined $early;
        my $client = $host->client;
        $client->send(FCNG::HTTP::head('GET', $path));
        $app->wait_event('request');
        my $r = $client->response(part => 1, seconds => 0.5);
        $client->rest(bytes => 6, seconds => 0.5) if $r->{framing};
        is($r->{body} // '', $early ? 'first ' : '', "$path: "
            . ($early ? 'streamed' : 'held back'));
        $app->open_gate('go');
        $r = $r->{framing} ? $client->rest(seconds => 5)
            : $client->response(seconds => 5);
        is($r->{body}, 'first second', "$path: whole in the end");
        $app->close_gate('go');
        $client->close;
    }

    # Rates.
    my $timed = sub {
        my ($path, $least, $most, $size) = @_;
        my $from = time;
        my $r = $host->get($path);
        is(length $r->{body}, $size, "$path: whole");
        cmp_ok(time - $from, '>=', $least, "$path: not faster than told");
        cmp_ok(time - $from, '<=', $most, "$path: nor much slower");
    };
    $timed->('/app/rate', 2, 6, 4000);
    $timed->('/deaf/rate', 0, 1, 4000);
    $timed->('/rated/rate?', 1, 6, 4000);

    # Fields.
    $r = $host->get('/app/fields');
    is(join('', map { $r->header($_) // '-' } qw(X-One X-Two Set-Cookie
        X-Powered-By X-Accel-Expires)), '12a=bme-', 'fields');
    is(join(' ', $r->header('Server'), $r->header('Date')),
        'mine yesterday', 'those that nginx would add, in place of its own');
    $r = $host->get('/hidden/fields');
    is(join('', map { $r->header($_) // '-' } qw(X-One X-Two X-Powered-By
        X-Accel-Expires)), '-2-0', 'hidden and passed ones');
    like($r->header('Server'), qr/^nginx/, 'hidden: nginx has its own');
    isnt($r->header('Date'), 'yesterday', 'and its own clock');
    is($host->get('/named/plain')->header('Content-Type'),
        'text/plain; charset=utf-8', 'nginx adds a charset');
    $r = $host->get('/named/charset');
    is($r->header('Content-Type'), 'text/plain; charset=koi8-r',
        'X-Accel-Charset: another one');
    is($r->header('X-Accel-Charset'), undef, 'is not shown');

    # Ranges.
    my @part = (headers => [Range => 'bytes=100-199']);
    $r = $host->get('/app/ranges', @part);
    is($r->{status}, 200, 'ranges are the application\'s business');
    ok($r->{body} eq $bytes, 'and it sends all');
    for my $path ('/forced/ranges', '/forced/ranges?accept') {
        $r = $host->get($path, @part);
        is($r->{status}, 206, "$path: a range");
        ok($r->{body} eq substr($bytes, 100, 100), "$path: the right bytes");
        is($r->header('Content-Range'), 'bytes 100-199/300000',
            "$path: told which");
    }
    $r = $host->get('/forced/ranges', headers => [Range => 'bytes=-10']);
    ok($r->{body} eq substr($bytes, -10), 'the last bytes');
    $r = $host->get('/forced/ranges', headers => [Range => 'bytes=400000-']);
    is($r->{status}, 416, 'beyond the end');
});
