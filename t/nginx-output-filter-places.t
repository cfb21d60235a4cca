# SPDX-License-Identifier: BSD-2-Clause
#
# What decides in nginx whether a response is filtered: the location that
# answers in the end.  Redirects, error pages, rules of access, caches and
# authorizers around it.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;

sub original {
    my ($r) = @_;
    my $body = $r->body;
    my $path = $r->env('PATH_INFO') // '';
    if ($path eq '/cut') {
        $r->out("Content-Type: text/html\r\n\r\nhalf of it");
        select undef, undef, undef, 0.1;
        return $r->die_now;
    }
    my %more = ('/inside' => "X-Accel-Redirect: /plain/a.html\r\n",
        '/filtered' => "X-Accel-Redirect: /s/a.html\r\n");
    return $r->answer(($more{$path} // '') . "Content-Type: text/html\r\n"
        . "ETag: \"o\"\r\nCache-Control: max-age=60\r\n\r\n"
        . ($path =~ /count/ ? 'count ' . $r->{n} . $r->conn->{name}
            : "original of $path"));
}

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->body;
        my $data = $r->data;
        my $query = $r->env('QUERY_STRING') // '';
        return $r->die_now if $query =~ /dies/;
        return $r->answer("X-Accel-Redirect: /secret/a.html\r\n\r\nno")
            if $query =~ /accel/;
        return $r->answer("Content-Type: text/html\r\n\r\n" . uc($data)
            . ($r->env('REMOTE_USER') ? ' for ' . $r->env('REMOTE_USER')
                : ''));
    });
    my $origin = FCNG::App->new(request => \&original);
    my $auth = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->body;
        return $r->answer(($r->env('QUERY_STRING') // '') =~ /no/
            ? "Status: 403\r\nContent-Type: text/html\r\n\r\ndenied"
            : "Status: 200\r\nVariable-REMOTE_USER: alice\r\n\r\n");
    });
    $host->file("$_/a.html", 'a page') for qw(s plain secret);
    $host->file("s/index.html", 'the index');
    $host->file("$_/sorry.html", 'sorry') for qw(s);
    $host->file('s/a.html.gz', 'compressed before');
    my ($a, $o) = $host->addresses(apps => [$app, $origin]);
    my $cache = $host->dir . '/tmp/cache';
    my $port = $host->port;
    my $inner = FCNG::Util::free_port();
    my $root = $host->docroot;
    my $auth_address = $auth->address;
    push @{ $host->{apps} }, $auth;
    $host->main(nginx => <<"CONF");
types { text/html html; text/plain txt; }
proxy_cache_path $cache keys_zone=c:1m;
server {
    listen 127.0.0.1:$inner;
    location / { fastcgi_ng_pass $o; fastcgi_ng_mount on; }
}
CONF
    $host->server(nginx => <<"CONF");
fastcgi_ng_output_filter $a;
location = /index.html { fastcgi_ng_output_filter off; }
location /s/ {
    location /s/off/ { fastcgi_ng_output_filter off; alias $root/s/; }
}
location /plain/ { fastcgi_ng_output_filter off; }
location /o/ { fastcgi_ng_pass $o; fastcgi_ng_mount on; }
location /offo/ {
    fastcgi_ng_output_filter off; fastcgi_ng_pass $o; fastcgi_ng_mount on;
}
location /try/ { try_files \$uri /s\$uri \@plain; }
location \@plain {
    fastcgi_ng_output_filter off;
    root $root/plain; rewrite ^.*/ /a.html break;
}
location /index/ { alias $root/s/; }
location = /index/index.html { deny all; }
location /secret/ { deny all; }
location /jump/ { rewrite ^ /secret/a.html last; }
location = /return { default_type text/html; return 200 "returned"; }
location = /if {
    if (\$arg_off) { fastcgi_ng_output_filter off; }
    default_type text/html;
    alias $root/s/a.html;
}
location /page/ {
    error_page 502 =200 /s/sorry.html;
    error_page 404 =200 /s/a.html;
    alias $root/s/;
}
location /authorized/ {
    fastcgi_ng_authorizer $auth_address; alias $root/s/;
}
location /cached/ {
    proxy_pass http://127.0.0.1:$inner/;
    proxy_cache c; proxy_cache_valid 200 1m;
    add_header X-Cache \$upstream_cache_status;
}
location /buffered/ {
    proxy_pass http://127.0.0.1:$inner/; proxy_http_version 1.1;
}
location /unbuffered/ {
    proxy_pass http://127.0.0.1:$inner/; proxy_http_version 1.1;
    proxy_buffering off;
}
location /gz/ { gzip_static on; gzip on; gzip_min_length 1; alias $root/s/; }
location /types/ {
    alias $root/s/; fastcgi_ng_output_filter_types text/css;
}
CONF
    $host->expect(qr/FCNG\d+|internal redirection|forbidden|prematurely/);
    $host->start;

    my $r;
    my @range = (headers => [Range => 'bytes=0-1', 'If-None-Match' => '"o"']);
    for (['/s/a.html', 200, 'A PAGE'], ['/s/', 200, 'THE INDEX'],
        ['/s/off/a.html', 200, 'a page'], ['/plain/a.html', 200, 'a page'],
        ['/s/a.html?accel', 200, 'no'],
        ['/o/x', 200, 'ORIGINAL OF /X'], ['/offo/x', 200, 'original of /x'],
        ['/o/inside', 200, 'a page'], ['/o/filtered', 200, 'A PAGE'],
        ['/try/none', 200, 'a page'],
        ['/index/', 403, undef], ['/secret/a.html', 403, undef],
        ['/jump/', 403, undef], ['/return', 200, 'RETURNED'],
        ['/if', 200, 'A PAGE'], ['/if?off=1', 200, 'a page'],
        ['/page/none.html', 200, 'A PAGE'],
        ['/page/a.html?dies', 200, 'sorry'],
        ['/authorized/a.html', 200, 'A PAGE for alice'],
        ['/authorized/a.html?no', 403, 'denied'],
        ['/buffered/x', 200, 'ORIGINAL OF /X'],
        ['/unbuffered/x', 200, 'ORIGINAL OF /X'],
        ['/buffered/cut', 502, undef], ['/unbuffered/cut', 502, undef],
        ['/types/a.html', 200, 'a page']) {
        my ($path, $status, $body) = @$_;
        $r = $host->get($path);
        is($r->{status}, $status, $path);
        is($r->{body}, $body, 'the body') if defined $body;
        unlike($r->{body}, qr/a page|the index|half/i, 'nothing of what is not '
            . 'to be had') if !defined $body;
    }

    # ---- what was taken from the request is back behind a redirect
    $r = $host->get('/o/inside', headers => [Range => 'bytes=0-1']);
    is("$r->{status} $r->{body}", '206 a ', 'a range of a file behind it');
    $r = $host->get('/page/a.html?dies', headers => [Range => 'bytes=0-1']);
    is("$r->{status} $r->{body}", '206 so', "and of an error's page");
    $r = $host->get('/offo/x', @range);
    my ($env) = map { $_->{env} } ($origin->events('request'))[-1];
    is($env->{HTTP_IF_NONE_MATCH}, '"o"', 'nothing is taken without filter');
    $r = $host->get('/try/none', headers => [Range => 'bytes=0-1']);
    is("$r->{status} $r->{body}", '206 a ', 'behind try_files');
    $r = $host->get('/buffered/x', @range);
    is("$r->{status} $r->{body}", '200 ORIGINAL OF /X', 'a proxied one');
    ($env) = map { $_->{env} } ($origin->events('request'))[-1];
    is($env->{$_}, undef, "is asked for without $_")
        for qw(HTTP_RANGE HTTP_IF_NONE_MATCH);

    $r = FCNG::HTTP::curl('--compressed', $host->url('/gz/a.html'));
    is($r->{out}, 'A PAGE', 'gzip_static has nothing to say');

    # ---- a cache below
    my $first = $host->get('/cached/count');
    my $second = $host->get('/cached/count', @range);
    is($second->{body}, $first->{body}, 'the cached original');
    is($second->header('X-Cache'), 'HIT', 'is a hit');
    like($first->{body}, qr/^COUNT/, 'and filtered');
    is($second->{status}, 200, 'whole');
});
