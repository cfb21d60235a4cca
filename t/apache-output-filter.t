# SPDX-License-Identifier: BSD-2-Clause
#
# Where FastCgiNgOutputFilter and the filter FASTCGI-NG count in Apache: by
# type, by hand, once; with SSI, mod_deflate and mod_filter around them.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(spew);
use Test::More;

FCNG::Hosts->each(only => 'apache', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->body;
        my $data = $r->data;
        return if $r->{gone};
        $r->answer("X-Role: $r->{role}\r\nX-Length: "
            . ($r->env('FCGI_DATA_LENGTH') // '-') . "\r\n\r\n<" . uc($data)
            . '>');
    });
    my $root = $host->docroot;
    mkdir "$root/auto";
    spew("$root/auto/a.html", 'hello');
    spew("$root/auto/a.txt", 'hello');
    $host->main(apache => "AddType text/html .html\nAddType text/plain .txt");
    $host->output_filter('/auto/', app => $app);
    $host->start;

    my $r = $host->get('/auto/a.html');
    is("$r->{status}:$r->{body}", '200:<HELLO>', 'a page') or diag $host->log;
    is($r->header('X-Role'), 3, 'in the role Filter');
    is($r->header('X-Length'), 5, 'with FCGI_DATA_LENGTH');
    is($r->header('Content-Type'), 'text/html', 'its type stays');
    is($r->header($_), undef, "without $_")
        for qw(ETag Last-Modified Accept-Ranges);
    $r = $host->get('/auto/a.txt');
    is($r->{body}, 'hello', 'another type');
    ok(defined $r->header($_), "with $_") for qw(ETag Last-Modified);
});
