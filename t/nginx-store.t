# SPDX-License-Identifier: BSD-2-Clause
#
# fastcgi_ng_store: what the application answers becomes a file that nginx
# serves by itself from then on, and nothing that is not a whole 200 does.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(random_bytes slurp wait_until);
use Test::More;

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $large = random_bytes(500_000);
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $do = $r->env('SCRIPT_NAME') =~ m{([^/]*)$} ? $1 : '';
        my $head = "Content-Type: text/plain\r\n";
        return $r->answer("Status: 404\r\n\r\nnothing") if $do eq 'none';
        return $r->answer("${head}Last-Modified: Mon, 03 Apr 2000 10:00:00 "
            . "GMT\r\n\r\ndated") if $do eq 'dated';
        return $r->answer("$head\r\n$large") if $do eq 'large';
        return $r->answer("$head\r\n") if $do eq 'empty';
        if ($do =~ /^cut(.*)/) {
            $r->out($head . ($1 eq 'length' ? "Content-Length: 20\r\n" : '')
                . "\r\nhalf");
            return $1 eq 'open' ? $r->die_now : $r->end;
        }
        return $r->answer("$head\r\nmade of " . ($r->env('QUERY_STRING')
            || $r->env('REQUEST_METHOD')));
    });
    my $root = $host->dir . '/tmp/stored';
    mkdir $root;
    chmod 0777, $root;
    $host->server(nginx => <<"CONF");
location /stored/ {
    root $root;
    error_page 404 = \@make;
    log_not_found off;
}
location \@make {
    fastcgi_ng_pass @{[ $app->address ]};
    fastcgi_ng_store $root\$uri;
    fastcgi_ng_store_access user:rw group:r all:r;
}
CONF
    $host->location('/on/', app => $app, plain => 1, nginx =>
        "root $root;\nfastcgi_ng_store on;\n");
    $host->location('/off/', app => $app, plain => 1, nginx =>
        "root $root;\nfastcgi_ng_store off;\n");
    $host->start;

    my $file = sub {
        my ($path) = @_;
        wait_until(1, sub { -e "$root$path" });
        return -e "$root$path" ? slurp("$root$path") : undef;
    };
    my $asked = sub { scalar(() = $app->events('request')) };

    is($host->get('/stored/a?one')->{body}, 'made of one', 'made');
    is($file->('/stored/a'), 'made of one', 'and stored');
    is((stat "$root/stored/a")[2] & 0777, 0644, 'for whom it was told');
    is($host->get('/stored/a?two')->{body}, 'made of one', 'then served');
    is($asked->(), 1, 'without the application');
    ok($host->get('/stored/large')->{body} eq $large, 'a large one');
    ok($file->('/stored/large') eq $large, 'stored');
    is($host->get('/stored/dated')->{body}, 'dated', 'one with a date');
    $file->('/stored/dated');
    is((stat "$root/stored/dated")[9], 954756000, 'its file has that date');
    $host->get('/stored/empty');
    is($file->('/stored/empty'), '', 'an empty one');
    is($host->get('/on/b?x')->{body}, 'made of x', 'below the root');
    is($file->('/on/b'), 'made of x', 'stored there');
    $host->request('HEAD', '/stored/head');
    is($file->('/stored/head'), undef, 'HEAD stores nothing');
    is($host->get('/stored/none')->{status}, 404, 'a 404');
    is($file->('/stored/none'), undef, 'is not stored');
    $host->get('/off/c');
    is($file->('/off/c'), undef, 'nor anything where it is off');
    for my $how (qw(cutlength cutopen)) {
        my $r = $host->get("/stored/$how");
        ok(!$r->{complete}, "$how: never looks complete");
        is($file->("/stored/$how"), undef, "$how: not stored");
    }
    is(scalar(() = glob($host->dir . '/tmp/fastcgi_ng/*/*/*')), 0,
        'no temporary file is left');
});
