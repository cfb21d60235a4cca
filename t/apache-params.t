# SPDX-License-Identifier: BSD-2-Clause
#
# What only Apache has: handlers for files, .htaccess, rewriting, variables of
# other modules, error documents, actions, included pages, expressions, pools
# for folders.  The parameters are right each time, and nothing is sent twice.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(spew);
use Test::More;

my ($host, $app);

# The parameters that one request brought to the application.
sub env_of {
    my ($path, %more) = @_;
    $app->forget;
    my $r = $host->request($more{method} // 'GET', $path, %more);
    # A request is noted before it is answered.
    my $seen = $app->wait_event('request', seconds => 0.3);
    return { status => $r->{status}, body => $r->{body} } if !$seen;
    my %times;
    my @list = @{ $seen->{list} };
    while (my ($name) = splice @list, 0, 2) { $times{$name}++ }
    is_deeply([grep { $times{$_} > 1 } sort keys %times], [],
        "$path: nothing is sent twice");
    return { %{ $seen->{env} }, status => $r->{status} };
}

sub has {
    my ($env, $what, %want) = @_;
    for my $name (sort keys %want) {
        is($env->{$name}, $want{$name}, "$what: $name");
    }
}

sub htaccess { $host->file('ht/.htaccess', $_[0]) }

FCNG::Hosts->each(only => 'apache', load => ['actions'], sub {
    ($host) = @_;
    my $root = $host->docroot;
    $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $body = $r->body;
        $r->note('body', bytes => $body);
        $r->text('answer of ' . ($r->env('SCRIPT_NAME') // ''));
    });
    $host->location('/mount/', app => $app);
    $host->location('/front', app => $app, script => "$root/front.php");
    $host->files('.app', app => $app);
    my $pool = 'pool' . $host->{pools};
    my $address = $app->address;
    $host->server(apache => <<"CONF");
FastCgiNgPool alice $address for=$root/alice
FastCgiNgPool nocheck $address
<FilesMatch "\\.al\$">
    SetHandler fastcgi-ng:ALICE
</FilesMatch>
<FilesMatch "\\.php\$">
    SetHandler fastcgi-ng:nocheck
</FilesMatch>
<Location "/nocheck.php">
    FastCgiNgCheckScript off
</Location>
<LocationMatch "^/lm/(?<word>[a-z]+)">
    FastCgiNgPass $pool
    FastCgiNgParam WORD "%{env:MATCH_WORD}"
    FastCgiNgParam LITERAL "a b"
    FastCgiNgParam HTTP_X_TRUSTED ours
    FastCgiNgParam !HTTP_X_GONE
    FastCgiNgParam !SERVER_SOFTWARE
    FastCgiNgParam QUERY_STRING replaced
</LocationMatch>
<Location "/lm/off">
    FastCgiNgPass off
</Location>
<Location "/bare">
    FastCgiNgPass $pool
    FastCgiNgDefaultParams off
    FastCgiNgParam ONLY "%{REQUEST_METHOD}"
</Location>
<Location "/expr">
    FastCgiNgPass $pool
    FastCgiNgParam FIELD "<%{HTTP:X-In}>"
    FastCgiNgParam LOWER "%{tolower:%{HTTP:X-In}}"
    FastCgiNgParam CODED "%{base64:%{REQUEST_METHOD}}"
    FastCgiNgParam BOTH "%{REQUEST_METHOD} %{REQUEST_URI}"
    FastCgiNgParam PERCENT "100% 'x'"
    FastCgiNgParam NOTHING "%{env:NO_SUCH_VARIABLE}"
    FastCgiNgParam SCRIPT_NAME "%{HTTP:X-Script}"
    <If "%{QUERY_STRING} == 'if'">
        FastCgiNgParam CHOSEN yes
    </If>
</Location>
<Location "/auth">
    FastCgiNgPass $pool
    CGIPassAuth On
</Location>
Action act /mount virtual
<FilesMatch "\\.act\$">
    SetHandler act
</FilesMatch>
<Directory $root/ssi>
    Options +Includes
    AddOutputFilter INCLUDES .shtml
    ErrorDocument 404 /error.app?why
</Directory>
CONF
    $host->file($_, "x\n") for qw(a.app ht/x.app alice/in.al out.al page.act
        error.app front.php upload.jpg);
    symlink "$root/out.al", "$root/alice/link.al";
    $host->file('ssi/page.shtml',
        "[<!--#include virtual=\"/a.app/more?q=1\" -->]\n");
    $host->start;

    has(env_of('/a.app?x=1'), 'a file', SCRIPT_NAME => '/a.app',
        SCRIPT_FILENAME => "$root/a.app", PATH_INFO => undef,
        PATH_TRANSLATED => undef, QUERY_STRING => 'x=1',
        REDIRECT_STATUS => 200, HTTPS => undef);
    has(env_of('/a.app/b/c%20d'), 'a file with more',
        SCRIPT_NAME => '/a.app', SCRIPT_FILENAME => "$root/a.app",
        PATH_INFO => '/b/c d', PATH_TRANSLATED => "$root/b/c d",
        REQUEST_URI => '/a.app/b/c%20d', DOCUMENT_URI => '/a.app/b/c d');
    has(env_of('/mount'), 'a mount itself', SCRIPT_NAME => '/mount',
        PATH_INFO => '', SCRIPT_FILENAME => undef, PATH_TRANSLATED => undef);
    has(env_of('/mount/x.gz'), 'below a mount', SCRIPT_NAME => '/mount',
        PATH_INFO => '/x.gz', status => 200);
    has(env_of('/front/a/b'), 'a front controller',
        SCRIPT_NAME => '/front.php', SCRIPT_FILENAME => "$root/front.php",
        PATH_INFO => '/front/a/b', DOCUMENT_URI => '/front/a/b');

    has(env_of('/lm/foo/bar?client=1', headers => ['X-Trusted' => 'theirs',
        'X-Gone' => 1]), 'LocationMatch', SCRIPT_NAME => '',
        PATH_INFO => '/lm/foo/bar', WORD => 'foo', LITERAL => 'a b',
        HTTP_X_TRUSTED => 'ours', HTTP_X_GONE => undef,
        SERVER_SOFTWARE => undef, QUERY_STRING => 'replaced');
    is(env_of('/lm/off')->{status}, 404, 'FastCgiNgPass off');
    my $bare = env_of('/bare', headers => ['X-A' => 1]);
    is_deeply([grep { !/^status$/ } keys %$bare], ['ONLY'],
        'no default parameters');

    # Expressions are evaluated for each request, the client's part of them
    # stays in its place.
    has(env_of('/expr?if', headers => ['X-In' => 'A "b" %{REQUEST_URI} \\',
        'X-Script' => '/other']), 'an expression',
        FIELD => '<A "b" %{REQUEST_URI} \\>',
        LOWER => 'a "b" %{request_uri} \\', CODED => 'R0VU',
        BOTH => 'GET /expr', PERCENT => q{100% 'x'}, NOTHING => '',
        SCRIPT_NAME => '/other', PATH_INFO => '', CHOSEN => 'yes');
    has(env_of('/expr', method => 'POST', body => 'x'), 'and once more',
        FIELD => '<>', LOWER => '', CODED => 'UE9TVA==',
        BOTH => 'POST /expr', CHOSEN => undef);

    # .htaccess, variables, rewriting.
    htaccess(<<'CONF');
SetEnv MINE hello
SetEnv REMOTE_ADDR 192.0.2.1
SetEnv HTTP_X_FAKE fake
SetEnvIf X-Forwarded-Proto https HTTPS=on
RewriteEngine On
RewriteRule ^pretty/(.*)$ x.app/$1?q=1 [QSA]
RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
FastCgiNgParam FROM_HTACCESS "%{REQUEST_METHOD}"
CONF
    has(env_of('/ht/pretty/some/thing?z=2', headers => [
        'X-Forwarded-Proto' => 'https', Authorization => 'Basic YTpi']),
        'rewritten', SCRIPT_NAME => '/ht/x.app', PATH_INFO => '/some/thing',
        SCRIPT_FILENAME => "$root/ht/x.app", QUERY_STRING => 'q=1&z=2',
        REQUEST_URI => '/ht/pretty/some/thing?z=2', MINE => 'hello',
        REMOTE_ADDR => '127.0.0.1', HTTP_X_FAKE => undef, HTTPS => 'on',
        HTTP_AUTHORIZATION => 'Basic YTpi', FROM_HTACCESS => 'GET',
        REDIRECT_URL => undef);
    has(env_of('/mount', headers => [Authorization => 'Basic YTpi']),
        'by default', HTTP_AUTHORIZATION => undef);
    has(env_of('/auth', headers => [Authorization => 'Basic YTpi']),
        'CGIPassAuth', HTTP_AUTHORIZATION => 'Basic YTpi');
    for my $name (qw(SCRIPT_FILENAME DOCUMENT_ROOT PHP_VALUE PHP_ADMIN_VALUE
        REMOTE_USER AUTH_TYPE)) {
        htaccess("FastCgiNgParam $name evil\n");
        $host->mark_log->expect(qr/FastCgiNgParam: $name/);
        is(env_of('/ht/x.app')->{status}, 500, ".htaccess sets $name");
        like($host->wait_log(qr/$name/) // '', qr/cannot be set in .htaccess/,
            'and the log says why');
    }
    unlink "$root/ht/.htaccess";

    # Error documents, actions, included pages.
    has(env_of('/ssi/missing', method => 'POST', body => 'lost'),
        'an error document', SCRIPT_NAME => '/error.app',
        REQUEST_METHOD => 'GET', QUERY_STRING => 'why',
        REDIRECT_STATUS => 404, REDIRECT_URL => '/ssi/missing',
        CONTENT_LENGTH => undef, status => 404);
    has(env_of('/page.act?q', method => 'POST', body => 'kept'), 'an action',
        SCRIPT_NAME => '/mount', PATH_INFO => '/page.act',
        PATH_TRANSLATED => "$root/page.act", REQUEST_METHOD => 'POST',
        CONTENT_LENGTH => 4, REDIRECT_URL => '/page.act');
    is($app->wait_event('body')->{bytes}, 'kept', 'with its body');
    $app->forget;
    is($host->get('/ssi/page.shtml')->{body}, "[answer of /a.app]\n",
        'an included page');
    has($app->wait_event('request')->{env}, 'included',
        PATH_INFO => '/more', QUERY_STRING => 'q=1');

    # Files that are not there, folders that are not ours.
    is(env_of('/upload.jpg/x.php')->{status}, 404, 'a path behind a picture');
    is(env_of('/missing.php')->{status}, 404, 'PHP that does not exist');
    has(env_of('/nocheck.php'), 'FastCgiNgCheckScript off', status => 200,
        SCRIPT_FILENAME => "$root/nocheck.php");
    has(env_of('/alice/in.al'), 'for=, inside', status => 200,
        SCRIPT_FILENAME => "$root/alice/in.al");
    is(env_of('/out.al')->{status}, 403, 'for=, outside');
    is(env_of('/alice/link.al')->{status}, 403, 'for=, outside by a link');
});
