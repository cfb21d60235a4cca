# SPDX-License-Identifier: BSD-2-Clause
#
# Where FastCgiNgOutputFilter and the filter FASTCGI-NG count in Apache: by
# type, in sections and .htaccess, by hand, never twice; between SSI and
# mod_deflate; and what the client asked for, of responses filtered or not.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Origin;
use FCNG::Util qw(spew);
use IO::Uncompress::Gunzip qw(gunzip);
use Test::More;

my $date = 'Thu, 01 Jan 2026 00:00:00 GMT';

# A page for any path; /png is none, /gz is one that may be encoded.
sub origin {
    my ($socket, $path, $head) = @_;
    my $more = '';
    my ($type, $body) = ('text/html', "page $path");
    if ($path =~ /png/) {
        $type = 'image/png';
        $more = "ETag: \"o\"\r\nLast-Modified: $date\r\n";
        $body .= ' ' x 200;
    }
    if ($path =~ /cookie/) {
        $more = "Set-Cookie: a=1\r\nX-Origin: yes\r\nCache-Control: private"
            . "\r\nETag: \"o\"\r\nContent-MD5: x\r\nAccept-Ranges: bytes\r\n"
            . "Content-Language: en\r\n";
    }
    $more .= "Content-Encoding: gzip\r\n"
        if $path =~ /gz/ && $head =~ /^Accept-Encoding:.*gzip/mi
        || $path =~ /always/;
    $body = join ' ', sort map { lc } $head =~ /^(Range|If-[^:]*|Accept-Enc[^:]*):/mgi
        if $path =~ /asked/;
    $body = $head =~ /^If-Match: "x"/m ? 'matched' : 'lost'
        if $head =~ /^PUT/;
    print $socket "HTTP/1.1 200 OK\r\nContent-Type: $type\r\n${more}"
        . 'Content-Length: ' . length($body)
        . "\r\nConnection: close\r\n\r\n$body";
}

FCNG::Hosts->each(only => 'apache', load => [qw(filter deflate proxy
        proxy_http substitute)], sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->body;
        my $data = $r->data;
        return if $r->{gone};
        my $do = $r->env('QUERY_STRING') // '';
        return $r->answer("Content-Type: text/plain\r\nETag: \"v\"\r\n"
            . "Last-Modified: $date\r\n\r\n<$data>") if $do eq 'v';
        return $r->answer("Cache-Control: no-store\r\nX-App: 1\r\n"
            . "Content-Language: de\r\nSet-Cookie: b=2\r\n\r\n<$data>")
            if $do eq 'fields';
        return $r->answer("Location: /auto/a.txt\r\n\r\n") if $do eq 'local';
        return $r->answer("Status: 404 Gone Away\r\n\r\nnone")
            if $do eq '404';
        return $r->answer("Status: 204\r\n\r\n") if $do eq '204';
        return $r->text($r->env('TYPE')) if $do eq 'type';
        return $r->text(join ' ', map { $_ . '=' . ($r->env($_) // '-') }
            qw(FCGI_DATA_LENGTH SCRIPT_NAME SCRIPT_FILENAME CONTENT_TYPE
            CONTENT_LENGTH REQUEST_METHOD HTTP_RANGE REMOTE_USER))
            if $do eq 'env';
        $r->answer("X-Role: $r->{role}\r\n\r\n<$data>");
    });
    my $responder = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $body = $r->body;
        $r->answer("Content-Type: text/html\r\n\r\nanswer to "
            . $r->env('REQUEST_METHOD') . " $body");
    });
    my $origin = FCNG::Origin->new(\&origin);
    my $root = $host->docroot;
    for my $dir (qw(auto all htaccess off set bytype provider both ssi
            part substitute errors nopool folder deflate declared zip)) {
        mkdir "$root/$dir";
        spew("$root/$dir/a.html", "a of $dir");
        spew("$root/$dir/a.txt", "text of $dir");
    }
    spew("$root/auto/.htaccess", "RewriteEngine on\n"
        . "RewriteRule ^old\\.(html|txt)\$ a.\$1\n");
    spew("$root/htaccess/.htaccess", "FastCgiNgOutputFilter filter\n"
        . "FastCgiNgOutputFilterTypes text/plain\n");
    spew("$root/ssi/a.html", 'page <!--#include virtual="/part/a.html" --> '
        . '<!--#include virtual="/auto/a.html" -->');
    spew("$root/deflate/a.html", 'hello ' x 200);
    spew("$root/deflate/a.txt", 'hello ' x 200);
    spew("$root/$_/a.html", 'hello ' x 200) for 'zip', 'declared';
    my ($port, $to) = ($host->port, 'http://127.0.0.1:' . $origin->port);
    $host->main(apache => <<"CONF");
AddType text/html .html
AddType text/plain .txt
AddType image/png .png
CONF
    $host->output_filter('/auto/', app => $app,
        params => [TYPE => '%{CONTENT_TYPE}']);
    $host->server(apache => 'FastCgiNgPool filter ' . $app->address . "\n"
        . 'FastCgiNgPool mine ' . $app->address . " for=$root/folder\n"
        . 'FastCgiNgPool pages ' . $responder->address . "\n" . <<"CONF");
<Directory "$root/all">
    FastCgiNgOutputFilter Filter
    FastCgiNgOutputFilterTypes *
    <Files "b.txt">
        FastCgiNgOutputFilter off
    </Files>
</Directory>
<Directory "$root/off">
    FastCgiNgOutputFilter filter
    <Files "a.html">
        FastCgiNgOutputFilter off
    </Files>
</Directory>
<Directory "$root/set">
    FastCgiNgOutputFilter filter
    SetOutputFilter FASTCGI-NG
</Directory>
<Directory "$root/nopool">
    SetOutputFilter FASTCGI-NG
</Directory>
<Directory "$root/bytype">
    FastCgiNgOutputFilter filter
    AddOutputFilterByType FASTCGI-NG text/plain
</Directory>
<Location "/provider">
    FastCgiNgOutputFilter filter
    FilterDeclare choice
    FilterProvider choice FASTCGI-NG "%{CONTENT_TYPE} =~ m#text/#"
    FilterChain choice
</Location>
<Directory "$root/both">
    FastCgiNgOutputFilter filter
    SetOutputFilter FASTCGI-NG
    AddOutputFilterByType FASTCGI-NG text/html
</Directory>
<Directory "$root/ssi">
    Options +Includes
    SetOutputFilter INCLUDES
    FastCgiNgOutputFilter filter
</Directory>
<Directory "$root/part">
    FastCgiNgOutputFilter filter
</Directory>
<Directory "$root/substitute">
    AddOutputFilterByType SUBSTITUTE text/html
    Substitute "s/^a of/b of/"
    FastCgiNgOutputFilter filter
</Directory>
<Directory "$root/folder">
    FastCgiNgOutputFilter mine
</Directory>
<Directory "$root/errors">
    FastCgiNgOutputFilter mine
</Directory>
<Directory "$root/deflate">
    FastCgiNgOutputFilter filter
    AddOutputFilterByType DEFLATE text/html text/plain
</Directory>
<Directory "$root/declared">
    FastCgiNgOutputFilter filter
    FilterDeclare compress CONTENT_SET
    FilterProvider compress DEFLATE "%{CONTENT_TYPE} =~ m#text/#"
    FilterChain compress
</Directory>
<Directory "$root/zip">
    FastCgiNgOutputFilter filter
    SetOutputFilter DEFLATE
</Directory>
ProxyPass /proxy $to/proxy
ProxyPass /hand $to/hand
<Location "/proxy">
    FastCgiNgOutputFilter filter
</Location>
<Location "/hand">
    FastCgiNgOutputFilter filter
    AddOutputFilterByType FASTCGI-NG text/html
    AddOutputFilterByType DEFLATE image/png
</Location>
<Location "/pages">
    FastCgiNgPass pages
    FastCgiNgOutputFilter filter
    FastCgiNgScript /nowhere.php
</Location>
CONF
    $host->expect(qr/FCNG\d+:/);
    $host->start;
    my $body = sub { $host->get(@_)->{body} };

    # ---- where
    my $r = $host->get('/auto/a.html');
    is("$r->{status}:$r->{body}", '200:<a of auto>', 'a page')
        or diag $host->log;
    is($r->header('X-Role'), 3, 'in the role Filter');
    is($r->header('Content-Type'), 'text/html', 'its type stays');
    is($r->header($_), undef, "without $_")
        for qw(ETag Last-Modified Accept-Ranges);
    $r = $host->get('/auto/a.txt');
    is($r->{body}, 'text of auto', 'another type');
    ok(defined $r->header($_), "with $_") for qw(ETag Last-Modified);
    is($body->('/all/a.txt'), '<text of all>', 'any type');
    is($body->('/off/a.html'), 'a of off', 'off in <Files>');
    is($body->('/htaccess/a.txt'), '<text of htaccess>', '.htaccess');
    is($body->('/htaccess/a.html'), 'a of htaccess', 'with its types');

    # ---- by hand
    is($body->('/set/a.txt'), '<text of set>', 'SetOutputFilter');
    is($body->('/bytype/a.txt'), '<text of bytype>', 'AddOutputFilterByType');
    is($body->('/bytype/a.html'), 'a of bytype', 'for its types only');
    is($body->('/provider/a.txt'), '<text of provider>', 'FilterProvider');
    is($body->('/both/a.html'), '<a of both>', 'never twice');
    is($host->get('/nopool/a.html')->{status}, 500, 'without a pool');
    like($host->log, qr/FCNG013.*FastCgiNgOutputFilter POOL/, 'it is told');
    is($body->('/folder/a.html'), '<a of folder>', 'for=, in the folder');
    is($host->get('/errors/a.html')->{status}, 403, 'and elsewhere');

    # ---- with others
    is($body->('/ssi/a.html'), '<page a of part a of auto>',
        'a page with its parts, once');
    $r = $host->get('/ssi/a.html?v', headers => ['If-None-Match' => '"v"']);
    is("$r->{status}:$r->{body}", '304:', 'whose validators are the whole\'s');
    is($body->('/substitute/a.html'), '<b of substitute>', 'behind others');
    my @gzip = (headers => ['Accept-Encoding' => 'gzip']);
    for my $path ('/deflate/a.html', '/zip/a.html', '/declared/a.html') {
        $r = $host->get($path, @gzip);
        is($r->header('Content-Encoding'), 'gzip', "$path: encoded");
        gunzip(\$r->{body}, \my $plain);
        is($plain, '<' . 'hello ' x 200 . '>', 'behind the application');
    }
    $r = $host->get('/deflate/a.txt', @gzip);
    is($r->header('Content-Encoding'), 'gzip', 'and what is not filtered');
    $r = $host->post('/pages/x', 'in');
    is($r->{body}, '<answer to POST in>', 'of a Responder');
    like($body->('/pages/x?env'), qr{=14 SCRIPT_NAME=/pages/x SCRIPT_FILENAME=- CONTENT_TYPE=- CONTENT_LENGTH=- REQUEST_METHOD=GET},
        'what it is told of that');
    like($body->('/auto/a.html?env'),
        qr{SCRIPT_FILENAME=\Q$root\E/auto/a.html}, 'and of a file');

    # ---- what a proxied original is asked for
    my @all = (headers => [Range => 'bytes=0-3', 'If-None-Match' => '"o"',
        'Accept-Encoding' => 'gzip']);
    is($body->('/proxy/asked', @all), '<>', 'no part of it, no condition');
    is($body->('/proxy/gz', @gzip), '<page /proxy/gz>', 'nor encoded');
    is($body->('/proxy/always', @gzip), 'page /proxy/always',
        'what is encoded all the same is left alone');
    $r = $host->request('PUT', '/proxy/put', body => 'x',
        headers => ['If-Match' => '"x"']);
    is($r->{body}, '<matched>', 'If-Match of PUT');
    for my $dir ('proxy', 'hand') {
        $r = $host->get("/$dir/png", headers => ['If-None-Match' => '"o"']);
        is("$r->{status}:$r->{body}", '304:',
            "$dir: 304 of what is not filtered");
        is($r->header('ETag'), '"o"', 'with its ETag');
        $r = $host->get("/$dir/png", headers => [Range => 'bytes=0-3']);
        is("$r->{status}:$r->{body}", '206:page', 'and ranges of it');
        is($body->("/$dir/page", headers => ['If-None-Match' => '"o"']),
            "<page /$dir/page>", 'a page');
    }
    $r = $host->get('/hand/png', @gzip);
    is($r->header('Content-Encoding'), 'gzip', 'mod_deflate of it');

    # ---- fields
    $r = $host->get('/proxy/cookie');
    is($r->header('Set-Cookie'), 'a=1', "the original's fields");
    is($r->header('Content-Language'), 'en', 'stay');
    is($r->header($_), undef, "but $_")
        for qw(ETag Content-MD5 Accept-Ranges);
    $r = $host->get('/proxy/cookie?fields');
    is(join(',', $r->header('Set-Cookie')), 'b=2,a=1', 'cookies add up');
    is(join(',', $r->header('Cache-Control')), 'no-store',
        'others of the application replace them');
    is(join(',', $r->header('Content-Language')), 'de', 'language');
    $r = $host->request('HEAD', '/proxy/cookie');
    is($r->header($_), undef, "HEAD: no $_")
        for qw(ETag Content-Length Content-MD5 Accept-Ranges);
    is($r->header('X-Origin'), 'yes', 'HEAD: what stays');
    is($host->request('HEAD', '/auto/a.html')->header($_), undef,
        "HEAD of a file: no $_") for qw(ETag Content-Length Last-Modified);
    $r = $host->request('HEAD', '/auto/a.html',
        headers => ['If-None-Match' => '*']);
    is($r->{status}, 200, 'HEAD: the validators are none of its');

    # ---- by internal redirects
    is($body->('/auto/old.html'), '<a of auto>', 'a page under another name');
    $r = $host->get('/auto/old.html?v', headers => ['If-None-Match' => '"v"']);
    is($r->{status}, 304, 'If-None-Match of that');
    my $tag = $host->get('/auto/a.txt')->header('ETag');
    $r = $host->get('/auto/old.txt', headers => ['If-None-Match' => $tag]);
    is($r->{status}, 304, 'and of what is not filtered');
    $r = $host->get('/auto/old.txt', headers => [Range => 'bytes=0-3']);
    is("$r->{status} $r->{body}", '206 text', 'a range of it');
    is($body->('/auto/a.html?type'), 'text/html', 'FastCgiNgParam can tell '
        . 'the type');

    # ---- the application's head
    $r = $host->get('/auto/a.html?v', headers => ['If-None-Match' => '"v"']);
    is("$r->{status}:$r->{body}", '304:', 'its ETag counts');
    $r = $host->get('/auto/a.html?v',
        headers => ['If-Modified-Since' => $date]);
    is("$r->{status}:$r->{body}", '304:', 'and its Last-Modified');
    $r = $host->get('/auto/a.html?v', headers => ['If-Match' => '"x"']);
    is($r->{status}, 412, 'If-Match');
    $r = $host->get('/auto/a.html?v');
    is($r->header('Content-Type'), 'text/plain', 'its type');
    $r = $host->get('/auto/a.html?404');
    is("$r->{status} $r->{body}", '404 none', 'its status');
    $r = $host->get('/auto/a.html?204');
    is("$r->{status}:$r->{body}", '204:', 'no content');
    $r = $host->get('/auto/a.html?local');
    is($r->{status}, 302, 'a redirect is the client\'s');
    is($host->get('/auto/none.html')->{status}, 404, 'no page');
    unlike($body->('/auto/none.html'), qr/^<</, 'is not filtered');
    is($host->request('OPTIONS', '/set/a.html')->{status}, 200, 'OPTIONS');
});
