# SPDX-License-Identifier: BSD-2-Clause
#
# Any response through a Filter application: what it is sent and what the
# client gets (t/output-filter-failures.t: what fails).  The same against each
# server:
#
#   $host->output_filter('/dir/', app => $filter, options => {
#       output_filter_types => 'text/html', output_filter_on_error => 'pass',
#       output_filter_max_size => '1m' });
#
# puts the filter before the files of a folder of the document root (nginx: a
# location with fastcgi_ng_output_filter, Apache: a Location with
# FastCgiNgOutputFilter); original => $app: before the responses of an
# application in the role Responder there (fastcgi_ng_pass, FastCgiNgPass).
# Defaults: text/html, fail, 64m.
#
# Query: "f=WORD" is for the filter, "o=WORD" for the original.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(random_bytes);
use Test::More;

my $large = random_bytes(3 * 1024 * 1024 + 11, 'page');
my $head = "Content-Type: text/html\r\n";
my $date = 'Thu, 01 Jan 2026 00:00:00 GMT';

sub read_all { my ($r) = @_; $r->body; return $r->data }

my %filter = (
    early => sub { $_[0]->answer("$head\r\nearly") },
    stream => sub {
        my ($r) = @_;
        $r->body;
        $r->out("$head\r\n");
        while (defined(my $piece = $r->read_data)) { $r->out(uc $piece) }
        $r->end;
    },
    validators => sub {
        my ($r) = @_;
        my $data = read_all($r);
        $r->answer("${head}ETag: \"app\"\r\nLast-Modified: $date\r\n"
            . 'Content-Length: ' . length($data) . "\r\n\r\n" . uc $data);
    },
    fields => sub {
        my ($r) = @_;
        $r->answer("Status: 203\r\nContent-Type: text/plain\r\n"
            . "Set-Cookie: f=2\r\nX-Same: filter\r\nX-Filter: yes\r\n\r\n"
            . uc read_all($r));
    },
    redirect => sub {
        read_all($_[0]);
        $_[0]->answer("Location: http://else.where/\r\n\r\n");
    },
    local => sub {
        read_all($_[0]);
        $_[0]->answer("Location: /p/a.txt\r\n\r\n");
    },
    missing => sub {
        read_all($_[0]);
        $_[0]->answer("Status: 404\r\n$head\r\nnot here");
    },
    empty => sub { read_all($_[0]); $_[0]->answer("$head\r\n") },
    nothing => sub { read_all($_[0]); $_[0]->answer("Status: 204\r\n\r\n") },
);

sub word { my ($r, $of) = @_;
    return ($r->env('QUERY_STRING') // '') =~ /\b$of=(\w+)/ ? $1 : '' }

sub filter {
    my ($r) = @_;
    my $code = $filter{ word($r, 'f') };
    return $code->($r) if $code;
    my $stdin = $r->body;
    my $data = $r->data;
    return if $r->{gone};
    $r->note('data', sha => sha256_hex($data), stdin => $stdin);
    return $r->answer("$head\r\n" . uc $data);
}

my %original = (
    none => "Status: 204\r\n\r\n",
    moved => "Status: 302\r\nLocation: http://else.where/\r\n"
        . "$head\r\nmoved",
    missing => "Status: 404\r\n${head}ETag: \"o\"\r\n\r\nmissing",
    broken => "Status: 500\r\n$head\r\nbroken",
    encoded => "${head}Content-Encoding: br\r\n\r\nencoded",
    text => "Content-Type: text/plain\r\nETag: \"o\"\r\n\r\ntext",
    fields => "Content-Type: text/html; charset=utf-8\r\nETag: \"o\"\r\n"
        . "Last-Modified: $date\r\nContent-MD5: x\r\nContent-Length: 6\r\n"
        . "Set-Cookie: o=1\r\nX-Same: original\r\nX-Original: yes\r\n\r\n"
        . 'fields',
    large => "$head\r\n$large",
);

sub original {
    my ($r) = @_;
    my $body = $r->body;
    my $text = $original{ word($r, 'o') };
    $r->note('original', env => $r->{env});
    return $r->answer($text // "$head\r\nbody <$body>");
}

sub seen { my ($app, $what) = @_; scalar grep { 1 } $app->events($what) }

FCNG::Hosts->each(needs => 'output_filter', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => \&filter);
    my $origin = FCNG::App->new(request => \&original);
    my $page = $host->file('p/a.html', 'hello filter');
    $host->file('p/a.txt', 'plain text');
    $host->file('p/empty.html', '');
    $host->file('p/large.html', $large);
    $host->file('all/a.txt', 'plain text');
    $host->main(nginx => 'types { text/html html; text/plain txt; }',
        apache => "AddType text/html .html\nAddType text/plain .txt");
    $host->output_filter('/p/', app => $app);
    $host->output_filter('/all/', app => $app,
        options => { output_filter_types => '*' });
    $host->output_filter('/o/', app => $app, original => $origin);
    $host->start;

    # ---- what the application is sent
    my $r = $host->get('/p/a.html');
    is("$r->{status} $r->{body}", '200 HELLO FILTER', 'a page')
        or diag($host->log);
    is($r->header('Content-Type'), 'text/html', 'with its type');
    is($r->header($_), undef, "without the file's $_")
        for qw(ETag Last-Modified);
    my $request = $app->wait_event('request');
    is($request->{role}, 3, 'in the role Filter');
    my %env = %{ $request->{env} };
    is($env{FCGI_DATA_LENGTH}, 12, 'FCGI_DATA_LENGTH');
    is($env{FCGI_DATA_LAST_MOD}, (stat $page)[9], 'FCGI_DATA_LAST_MOD');
    is($env{REQUEST_METHOD}, 'GET', 'REQUEST_METHOD');
    is($env{SCRIPT_NAME}, '/p/a.html', 'SCRIPT_NAME');

    my @asking = (Range => 'bytes=0-2', 'If-None-Match' => '"o"',
        'If-Modified-Since' => $date, 'Accept-Encoding' => 'br, gzip');
    $r = $host->get('/o/x?o=fields', headers => \@asking);
    is("$r->{status} $r->{body}", '200 FIELDS',
        'what asks for less than the whole') if $host->is_nginx;
    my ($asked) = ($origin->events('original'))[-1];
    is($asked->{env}{$_}, undef, "the original is made without $_")
        for qw(HTTP_RANGE HTTP_IF_NONE_MATCH HTTP_IF_MODIFIED_SINCE
            HTTP_ACCEPT_ENCODING);
    is($asked->{env}{HTTP_HOST}, 'localhost:' . $host->port,
        'but with the other fields');

    my $body = random_bytes(100_000, 'body');
    $r = $host->post('/o/x', 'abc', headers => ['Content-Type' => 'x/y']);
    is($r->{body}, 'BODY <ABC>', 'a response to POST');
    is(($app->events('request'))[-1]{env}{$_}, undef, "without $_")
        for qw(CONTENT_LENGTH CONTENT_TYPE);
    my ($last) = ($app->events('data'))[-1];
    is($last->{stdin}, '', 'whose body was for the original');
    $r = $host->post('/o/x', $body, chunked => 1);
    is(sha256_hex($r->{body}), sha256_hex('BODY <' . uc($body) . '>'),
        'a large one');

    $r = $host->get('/p/large.html');
    is(sha256_hex($r->{body}), sha256_hex(uc $large), '3 MiB of a file');
    ($last) = ($app->events('data'))[-1];
    is($last->{sha}, sha256_hex($large), 'as they are');
    $r = $host->get('/o/x?o=large');
    is(sha256_hex($r->{body}), sha256_hex(uc $large), 'of unknown length');
    $r = $host->get('/o/x?o=large&f=stream');
    is(sha256_hex($r->{body}), sha256_hex(uc $large),
        'through an application that writes while it reads');
    $r = $host->get('/p/empty.html');
    is("$r->{status} <$r->{body}>", '200 <>', 'an empty page');
    is(($app->events('request'))[-1]{env}{FCGI_DATA_LENGTH}, 0,
        'is sent as well');

    # ---- the head
    $r = $host->get('/o/x?o=fields&f=fields');
    is("$r->{status} $r->{body}", '203 FIELDS', "the application's status");
    is($r->header('Content-Type'), 'text/plain', 'its type');
    is($r->header('X-Same'), 'filter', "its field for the original's");
    is($r->header('X-Filter'), 'yes', 'one of its own');
    is($r->header('X-Original'), 'yes', 'one of the original');
    is(join(' ', sort grep { /^.=/ } @{ $r->{headers} }), 'f=2 o=1',
        'the cookies of both');
    is($r->header($_), undef, "without $_")
        for qw(ETag Last-Modified Content-MD5 Accept-Ranges);
    $r = $host->get('/o/x?o=fields&f=redirect');
    is("$r->{status} " . $r->header('Location'), '302 http://else.where/',
        'a redirect of the application');
    $r = $host->get('/p/a.html?f=local');
    is($r->{status}, 302, 'a path in Location');
    like($r->header('Location'), qr{/p/a\.txt$}, 'redirects the client');
    $r = $host->get('/p/a.html?f=missing');
    is("$r->{status} $r->{body}", '404 not here', 'its 404');
    $r = $host->get('/p/a.html?f=empty');
    is("$r->{status} <$r->{body}>", '200 <>', 'no body');
    $r = $host->get('/p/a.html?f=nothing');
    is("$r->{status} <$r->{body}>", '204 <>', 'its 204');
    $r = $host->get('/p/large.html?f=early');
    is($r->{body}, 'early', 'an answer without reading the data');
    $r = $host->get('/p/a.html?f=early');
    is($r->{body}, 'early', 'nor little data');

    # ---- conditions
    my $v = '/p/a.html?f=validators';
    $r = $host->get($v);
    is($r->header('ETag'), '"app"', "the application's ETag");
    is($r->header('Last-Modified'), $date, 'its Last-Modified');
    is($r->header('Content-Length'), 12, 'its length');
    for ([304, 'If-None-Match' => '"app"'], [304, 'If-None-Match' => '*'],
        [304, 'If-None-Match' => 'W/"x", W/"app"'],
        [200, 'If-None-Match' => '"other"'],
        [304, 'If-Modified-Since' => $date],
        [200, 'If-Modified-Since' => 'Mon, 01 Dec 2025 00:00:00 GMT'],
        [200, 'If-Modified-Since' => $date, 'If-None-Match' => '"o"'],
        [200, 'If-Match' => '"app"'], [412, 'If-Match' => '"other"'],
        [200, 'If-Unmodified-Since' => $date],
        [412, 'If-Unmodified-Since' => 'Mon, 01 Dec 2025 00:00:00 GMT']) {
        my ($status, @fields) = @$_;
        $r = $host->get($v, headers => \@fields);
        is($r->{status}, $status, "@fields");
        is($r->{body}, '', 'and no body') if $status == 304;
        is($r->{body}, 'HELLO FILTER', 'the body') if $status == 200;
    }
    $r = $host->get('/p/a.txt');
    my ($etag, $modified) = map { $r->header($_) } qw(ETag Last-Modified);
    $r = $host->get('/p/a.html', headers => ['If-Modified-Since'
        => 'Wed, 01 Jan 2031 00:00:00 GMT']);
    is($r->{body}, 'HELLO FILTER', "the original's date never counts");
    $r = $host->get('/o/x?o=fields', headers => ['If-None-Match' => '"o"']);
    is($r->{body}, 'FIELDS', 'nor its ETag');
    $r = $host->get($v, headers => [Range => 'bytes=0-4']);
    is("$r->{status} $r->{body}", $host->is_nginx ? '200 HELLO FILTER'
        : '206 HELLO', 'Range');
    is($r->header('Accept-Ranges'), undef, 'which is not offered')
        if $host->is_nginx;

    # ---- what is not filtered
    my $before = seen($app, 'request');
    $r = $host->get('/p/a.txt');
    is("$r->{body} $etag $modified", 'plain text ' . $r->header('ETag') . ' '
        . $r->header('Last-Modified'), 'another type');
    $r = $host->get('/p/a.txt', headers => [Range => 'bytes=0-4']);
    is("$r->{status} $r->{body}", '206 plain', 'a part of it');
    $r = $host->get('/p/a.txt', headers => ['If-None-Match' => $etag]);
    is($r->{status}, 304, 'it has not changed');
    for ([none => 204, ''], [moved => 302, 'moved'],
        [missing => 404, 'missing'], [broken => 500, 'broken'],
        [encoded => 200, 'encoded'], [text => 200, 'text']) {
        my ($word, $status, $text) = @$_;
        $r = $host->get("/o/x?o=$word");
        is("$r->{status} $r->{body}", "$status $text",
            "not filtered: $word");
    }
    $r = $host->request('HEAD', '/p/a.html');
    is("$r->{status} $r->{body}", '200 ', 'HEAD');
    is($r->header($_), undef, "without $_")
        for qw(ETag Last-Modified Content-Length Accept-Ranges);
    $r = $host->request('HEAD', '/o/x?o=fields');
    is($r->header($_), undef, "of an application without $_")
        for qw(ETag Last-Modified Content-Length Content-MD5);
    is($r->header('X-Original'), 'yes', 'but with the other fields');
    $r = $host->request('HEAD', '/p/a.txt');
    is($r->header('Content-Length'), 10, 'HEAD of another type');
    is(seen($app, 'request'), $before, 'the application has seen none');
    $r = $host->get('/all/a.txt');
    is($r->{body}, 'PLAIN TEXT', 'all types');

    # ---- one connection
    my $client = $host->client;
    $client->send(join '', map { FCNG::HTTP::head('GET', $_,
        port => $host->port) } '/p/a.html', '/p/a.txt', '/p/empty.html',
        '/p/a.html?f=early', '/p/a.html');
    is(join('|', map { $client->response->{body} } 1 .. 5),
        'HELLO FILTER|plain text||early|HELLO FILTER', 'pipelined');
});
