# SPDX-License-Identifier: BSD-2-Clause
#
# Where the output filter stands among nginx's: behind SSI, sub, addition and
# charset, before gzip and ranges, with the module loaded and with the module
# linked in.  What those would find in the application's response stays.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(slurp random_bytes);
use Test::More;

my @builds = (['loaded', $ENV{FCNG_NGINX}]);
my $static = $ENV{FCNG_NGINX_STATIC} || '';
push @builds, ['linked in', $static] if -x $static;

# What an SSI page is made of, in upper case.
my $ssi = '<!--#set var="v" value="set" --><!--#echo var="v" -->|'
    . '<!--#include virtual="/parts/slow?1" -->|'
    . '<!--#include virtual="/parts/fast?2" -->|'
    . '<!--#if expr="$v = set" -->yes<!--#else -->no<!--#endif -->|word';

my $bytes = random_bytes(250_000);

sub original {
    my ($r) = @_;
    $r->body;
    my $query = $r->env('QUERY_STRING') // '';
    my $name = $r->env('SCRIPT_NAME') . ($r->env('PATH_INFO') // '');
    if ($name =~ /slices/) {
        my ($from, $to) = ($r->env('HTTP_RANGE') // '') =~ /=(\d+)-(\d+)/
            or return $r->text('no range');
        $to = length($bytes) - 1 if $to >= length $bytes;
        return $r->answer("Status: 206\r\nContent-Type: text/html\r\n"
            . "Content-Range: bytes $from-$to/" . length($bytes)
            . "\r\nETag: \"e\"\r\n\r\n" . substr $bytes, $from,
            $to - $from + 1);
    }
    return $r->answer("Content-Type: text/html\r\n\r\n$ssi")
        if $name =~ /page/;
    select undef, undef, undef, 0.2 if $name =~ /slow/;
    return $r->answer("Content-Type: text/html\r\n\r\npart$query");
}

# With what nginx's own filters would change.
my $tail = '<!--#echo var="v" -->word';

sub filter {
    my ($r) = @_;
    $r->body;
    my $data = $r->data;
    $r->note('data', data => $data);
    return $r->answer("Content-Type: text/html\r\n\r\n" . uc($data) . $tail);
}

for my $build (@builds) {
    my ($name, $binary) = @$build;
    local $ENV{FCNG_NGINX} = $binary;
    subtest $name => sub {
        my $host = FCNG::Host::Nginx->new;
        my $app = FCNG::App->new(request => \&filter);
        my $origin = FCNG::App->new(request => \&original);
        my $files = FCNG::App->new(request => sub {
            $_[0]->body;
            my $data = $_[0]->data;
            $_[0]->answer("Content-Type: text/html\r\nETag: \"v\"\r\n\r\n"
                . $data);
        });
        $host->file('s/page.html', $ssi);
        $host->file('s/large.html', 'x' x 300_000);
        $host->file('f/a.html', 'file');
        my $address = $origin->address;
        $host->main(nginx => <<'CONF');
types { text/html html; }
CONF
        $host->server(nginx => <<"CONF");
location /parts/ {
    fastcgi_ng_pass $address;
    fastcgi_ng_mount on;
}
location /parts/before { fastcgi_ng_pass $address; fastcgi_ng_mount on; }
location /parts/after { fastcgi_ng_pass $address; fastcgi_ng_mount on; }
CONF
        my $filters = "ssi on;\nsub_filter word WORD_;\n"
            . "sub_filter_once off;\ncharset utf-8;\n";
        $host->output_filter('/s/', app => $app, nginx => $filters);
        $host->output_filter('/o/', app => $app, original => $origin,
            nginx => "${filters}gzip on;\ngzip_min_length 1;\n"
            . "gzip_vary on;\n");
        $host->output_filter('/added/', app => $app, original => $origin,
            nginx => "add_before_body /parts/before;\n"
            . "add_after_body /parts/after;\n");
        $host->output_filter('/slices/', app => $app, original => $origin,
            nginx => "slice 100k;\n"
            . "fastcgi_ng_param HTTP_RANGE \$slice_range;\n");
        $host->file_filter('/f/', app => $files);
        $host->start;

        my $page = 'SET|PART1|PART2|YES|WORD_' . $tail;
        my $r = $host->get('/s/page.html');
        is($r->{body}, $page, 'SSI of a file') or diag($host->log);
        is($r->header('Content-Type'), 'text/html; charset=utf-8',
            'with its charset');
        $r = $host->get('/o/page');
        is($r->{body}, $page, 'SSI of an application');
        is(scalar(() = $app->events('request')), 2,
            'the filter is asked once a page');
        is($r->header('Vary'), 'Accept-Encoding', 'gzip_vary');
        $r = FCNG::HTTP::curl('--compressed', '-D', $host->dir . '/head',
            $host->url('/o/page'));
        is($r->{out}, $page, 'gzip behind it');
        like(slurp($host->dir . '/head'), qr/Content-Encoding: gzip/,
            'indeed');
        ok(!(grep { /^\x1f\x8b/ } map { $_->{data} } $app->events('data')),
            'and not before it');
        $r = $host->get('/added/x');
        is($r->{body}, "PARTPARTPART$tail", 'addition before it')
            or diag($host->log);
        $r = $host->get('/slices/x', headers => [Range => 'bytes=5-9']);
        is("$r->{status} " . length($r->{body}), '200 '
            . length("$bytes$tail"), 'slices, whatever the range');
        ok($r->{body} eq uc($bytes) . $tail, 'are put together before it');

        $r = $host->get('/f/a.html', headers => ['If-None-Match' => '"v"']);
        is($r->{status}, 304, "a file filter's own ETag counts");
        $host->finish;
    };
}

SKIP: {
    skip 'source of nginx missing', 1 if !-x $static;
    my ($list) = glob(FCNG::Util::out() . '/nginx-src/objs/ngx_modules.c');
    my $text = slurp($list);
    like($text, qr/gzip_filter_module,\s*&ngx_http_fastcgi_ng_body_filter
        _module,\s*&ngx_http_postpone_filter_module.*not_modified_filter
        _module,\s*&ngx_http_fastcgi_ng_top_filter_module,\s*
        &ngx_http_slice/xs, 'the places in the binary');
}
done_testing();
