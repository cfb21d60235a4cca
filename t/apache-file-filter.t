# SPDX-License-Identifier: BSD-2-Clause
#
# Where FastCgiNgFileFilter and SetHandler fastcgi-ng-filter:NAME count: in
# sections and .htaccess, below an index, not over a handler of its own.
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
        return $r->text('no filter') if $r->{role} != 3;
        $r->body;
        $r->text(uc $r->data);
    });
    my $root = $host->docroot;
    for my $dir (qw(index htaccess off handler set)) {
        mkdir "$root/$dir";
        spew("$root/$dir/index.html", "in $dir");
        spew("$root/$dir/a.txt", "a of $dir");
    }
    spew("$root/htaccess/.htaccess", "FastCgiNgFileFilter filter\n");
    spew("$root/handler/.htaccess", "SetHandler fastcgi-ng:filter\n");
    spew("$root/set/.htaccess", "SetHandler fastcgi-ng-filter:Filter\n");
    $host->server(apache => 'FastCgiNgPool filter ' . $app->address . <<"CONF");

<Directory "$root/index">
    FastCgiNgFileFilter filter
</Directory>
<Directory "$root/off">
    FastCgiNgFileFilter filter
    <Files "a.txt">
        FastCgiNgFileFilter off
    </Files>
</Directory>
<Directory "$root/handler">
    FastCgiNgFileFilter filter
</Directory>
CONF
    $host->start;

    is($host->get('/index/')->{body}, 'IN INDEX', 'the index of a folder');
    is($host->get('/index/a.txt')->{body}, 'A OF INDEX', '<Directory>');
    is($host->get('/htaccess/a.txt')->{body}, 'A OF HTACCESS', '.htaccess');
    is($host->get('/off/a.txt')->{body}, 'a of off', 'off');
    is($host->get('/off/')->{body}, 'IN OFF', 'in <Files> only');
    is($host->get('/handler/a.txt')->{body}, 'no filter',
        'a handler of its own comes first');
    is($host->get('/set/a.txt')->{body}, 'A OF SET', 'SetHandler');
    is($host->get('/set/none.txt')->{status}, 404, 'no such file');
    is($host->get('/set/a.txt/more')->{status}, 404, 'nothing behind a file');
    my $r = $host->request('OPTIONS', '/index/a.txt');
    is($r->{status}, 200, 'OPTIONS');
    is($host->request('DELETE', '/index/a.txt')->{status}, 405, 'DELETE');
});
