# SPDX-License-Identifier: BSD-2-Clause
#
# Files through a Filter application: what it is sent, what the client gets,
# and what the server's own file handler still answers.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(random_bytes spew);
use Test::More;

my $large = random_bytes(4 * 1024 * 1024 + 17, 'file');

# What the application does stands in the query.
sub filter {
    my ($r) = @_;
    my $do = $r->env('QUERY_STRING') // '';
    if ($do eq 'early') {
        return $r->text('early');
    }
    if ($do eq 'dies') {
        $r->read_data;
        return $r->die_now;
    }
    if ($do eq 'cut') {
        $r->out("Content-Length: 100\r\n\r\nhalf");
        return $r->die_now;
    }
    return $r->end(0, 3) if $do eq 'role';
    my $stdin = $r->body;
    my $data = '';
    if ($do eq 'stream') {
        $r->out("Content-Type: text/plain\r\n\r\n");
        while (defined(my $piece = $r->read_data)) { $r->out(uc $piece) }
        return $r->end;
    }
    $data = $r->data;
    return if $r->{gone};
    my $got = sha256_hex($data);
    return $r->text("$got " . length($data) . ' '
        . join(' ', map { $r->env($_) // '-' } qw(FCGI_DATA_LENGTH
            FCGI_DATA_LAST_MOD SCRIPT_NAME HTTP_RANGE HTTP_IF_NONE_MATCH))
        . ' ' . sha256_hex($stdin)) if $do eq 'facts';
    return $r->answer("Content-Type: text/plain\r\nETag: \"v1\"\r\n"
        . "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        . 'Content-Length: ' . length($data) . "\r\n\r\n" . uc $data);
}

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => \&filter);
    my $dir = $host->docroot . '/md';
    mkdir $dir;
    mkdir "$dir/folder";
    spew("$dir/a.md", 'hello filter');
    spew("$dir/empty.md", '');
    spew("$dir/large.md", $large);
    spew("$dir/secret.md", 'secret');
    chmod 0, "$dir/secret.md";
    spew("$dir/future.md", 'x');
    my $future = 4_000_000_000;
    utime $future, $future, "$dir/future.md";
    $host->file_filter('/md/', app => $app);
    $host->expect(qr/FCNG\d+/);
    $host->start;

    my $none = sha256_hex('');
    my $r = $host->get('/md/a.md');
    is($r->{status}, 200, 'a file') or diag($host->log);
    is($r->{body}, 'HELLO FILTER', 'through the application');
    is($r->header('Content-Type'), 'text/plain', 'with its type');
    my ($event) = grep { $_->{what} eq 'request' } $app->events;
    is($event->{role}, 3, 'role Filter');
    is($event->{env}{SCRIPT_FILENAME}, "$dir/a.md", 'SCRIPT_FILENAME');

    my $mtime = (stat "$dir/a.md")[9];
    $r = $host->get('/md/a.md?facts', headers => [Range => 'bytes=0-',
        'If-None-Match' => '"x"']);
    my @facts = split / /, $r->{body};
    is("@facts[1 .. 6]", "12 12 $mtime /md/a.md - -",
        'length, date, name; no Range, no If-None-Match');
    $r = $host->get('/md/empty.md?facts');
    like($r->{body}, qr/^$none 0 0 /, 'an empty file');
    $r = $host->get('/md/future.md?facts');
    like($r->{body}, qr/ 1 1 $future /, 'a date after 2038');
    $r = $host->get('/md/large.md?facts');
    like($r->{body}, qr/^@{[sha256_hex($large)]} /, '4 MiB whole');
    $r = $host->get('/md/large.md?stream');
    is(sha256_hex($r->{body}), sha256_hex(uc $large), 'both ways at once');
    my $body = random_bytes(300_000, 'body');
    $r = $host->post('/md/large.md?facts', $body);
    like($r->{body}, qr/^@{[sha256_hex($large)]} .* @{[sha256_hex($body)]}$/,
        'the request body before the file');
    $r = $host->post('/md/empty.md?facts', $body);
    like($r->{body}, qr/^$none .* @{[sha256_hex($body)]}$/,
        'and before an empty one');

    # ---- the response is the application's
    $r = $host->get('/md/a.md');
    is($r->header('ETag'), '"v1"', 'its ETag');
    $r = $host->get('/md/a.md', headers => ['If-None-Match' => '"v1"']);
    is("$r->{status}:$r->{body}", '304:', 'is what If-None-Match is held to');
    $r = $host->get('/md/a.md', headers => [Range => 'bytes=0-4']);
    is("$r->{status}:$r->{body}", '206:HELLO', 'a range of its output');
    $r = $host->request('HEAD', '/md/a.md');
    is("$r->{status}:$r->{body}", '200:', 'HEAD');
    is($r->header($_), undef, "without $_")
        for qw(ETag Last-Modified Content-Length Accept-Ranges);
    $r = $host->get('/md/large.md?early');
    is($r->{body}, 'early', 'answered without reading the data');

    # ---- failures
    is($host->get('/md/large.md?dies')->{status}, 502, 'dies while it reads');
    $r = $host->get('/md/a.md?cut');
    ok(!$r->{complete}, 'a cut response never looks complete');
    is($host->get('/md/a.md?role')->{status}, 500, 'UNKNOWN_ROLE');
    like($host->log, qr/FCNG007.*Filter/, 'with the role in the log');

    # ---- what is no file
    is($host->get('/md/none.md')->{status}, 404, 'no such file');
    is($host->get('/md/secret.md')->{status}, 403, 'not readable') if !$>;
    $r = $host->get('/md/folder');
    is($r->{status}, 301, 'a folder');
    like($r->header('Location'), qr{/md/folder/$}, 'with its slash');
    is($host->get('/md/folder/')->{status}, $host->is_nginx ? 403 : 404,
        'no listing');
    is($host->request('PUT', '/md/a.md')->{status}, 405, 'PUT');
    is($host->get('/md/a.md')->{body}, 'HELLO FILTER', 'and all is well');
});
