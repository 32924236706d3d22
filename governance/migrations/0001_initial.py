import core.ids
import django.contrib.auth.models
import django.contrib.auth.validators
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import governance.models.approval
import governance.models.audit
import governance.models.budget
import governance.models.channel
import governance.models.grant
import governance.models.policy
import re
from django.conf import settings
from django.db import migrations, models

from governance.models.append_only import append_only_install, append_only_remove


def keep_audit(_, editor):
    """Make the database itself refuse to change or delete what the audit chains hold."""
    append_only_install(editor)


def release_audit(_, editor):
    append_only_remove(editor)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='Approval',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=governance.models.approval.kind_choices, max_length=20)),
                ('subject_id', models.UUIDField(help_text='What it is about, such as a tool call.')),
                ('run_id', models.UUIDField(null=True)),
                ('agent_name', models.CharField(blank=True, max_length=63)),
                ('requester_id', models.UUIDField(null=True)),
                ('requester_name', models.CharField(blank=True, max_length=150)),
                ('title', models.CharField(max_length=300)),
                ('question', models.TextField(blank=True, help_text='Why a person is asked.')),
                ('state', models.CharField(choices=governance.models.approval.state_choices, default='pending', max_length=12)),
                ('binding', models.JSONField(default=dict)),
                ('binding_digest', models.CharField(max_length=64)),
                ('arguments', models.JSONField(help_text='As they were asked for; redacted.', null=True)),
                ('edited_arguments', models.JSONField(help_text='Put in their place by an approver.', null=True)),
                ('approvers', models.JSONField(default=list, help_text='user:, group: or role: and a name; none: whoever may decide.')),
                ('quorum', models.PositiveSmallIntegerField(default=1)),
                ('allow_self', models.BooleanField(default=False)),
                ('owner_id', models.UUIDField(help_text='Who wrote the version of the agent.', null=True)),
                ('allow_owner', models.BooleanField(default=True)),
                ('tool', models.CharField(blank=True, max_length=200)),
                ('effect', models.CharField(blank=True, max_length=20)),
                ('is_privileged', models.BooleanField(default=False)),
                ('is_grantable', models.BooleanField(default=False, help_text='A yes may be given to calls alike too.')),
                ('evidence', models.JSONField(default=dict, help_text='What the call would change, as its tool found out beforehand.')),
                ('choices', models.JSONField(default=list, help_text='What can be answered, where that is not yes or no.')),
                ('choice', models.CharField(blank=True, help_text='Which of them was taken.', max_length=40)),
                ('rule', models.CharField(blank=True, help_text='Of the policy that asks.', max_length=200)),
                ('policy_version', models.CharField(blank=True, max_length=100)),
                ('expires_seconds', models.FloatField(null=True)),
                ('expires_at', models.DateTimeField(null=True)),
                ('on_expiry', models.CharField(blank=True, max_length=20)),
                ('escalate_to', models.JSONField(default=list)),
                ('escalations', models.PositiveSmallIntegerField(default=0, help_text='How often others were asked because nobody decided.')),
                ('warned_at', models.DateTimeField(help_text='When somebody was told that its time is nearly over.', null=True)),
                ('created_at', models.DateTimeField()),
                ('decided_at', models.DateTimeField(null=True)),
                ('decided_by_id', models.UUIDField(null=True)),
                ('decided_by_name', models.CharField(blank=True, max_length=150)),
                ('reason', models.TextField(blank=True, help_text='Of the decision; the model is told.')),
                ('surface', models.CharField(blank=True, help_text='Where it was decided.', max_length=20)),
                ('used_at', models.DateTimeField(help_text='When what was approved was begun.', null=True)),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='AuditHead',
            fields=[
                ('chain', models.UUIDField(primary_key=True, serialize=False)),
                ('sequence', models.PositiveBigIntegerField(default=0)),
                ('hash', models.CharField(max_length=64)),
                ('at', models.DateTimeField(null=True)),
                ('signed_sequence', models.PositiveBigIntegerField(default=0)),
                ('unsigned_since', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Workspace',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=63, unique=True, validators=[django.core.validators.RegexValidator(re.compile('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\Z'), 'Use 1 to 63 lower-case letters, digits and inner hyphens.')])),
                ('title', models.CharField(blank=True, max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('secrets_stamp', models.UUIDField(default=core.ids.new_id, editable=False)),
            ],
            options={
                'ordering': ('name',),
                'permissions': [('workspace_view', 'workspace.view'), ('workspace_manage', 'workspace.manage'), ('agent_view', 'agent.view'), ('agent_edit', 'agent.edit'), ('agent_publish', 'agent.publish'), ('session_view', 'session.view'), ('run_view', 'run.view'), ('run_payload', 'run.payload'), ('run_start', 'run.start'), ('run_control', 'run.control'), ('tool_call_resolve', 'tool_call.resolve'), ('tool_view', 'tool.view'), ('tool_edit', 'tool.edit'), ('provider_view', 'provider.view'), ('provider_edit', 'provider.edit'), ('secret_view', 'secret.view'), ('secret_edit', 'secret.edit'), ('policy_view', 'policy.view'), ('policy_edit', 'policy.edit'), ('policy_publish', 'policy.publish'), ('approval_view', 'approval.view'), ('approval_decide', 'approval.decide'), ('budget_view', 'budget.view'), ('budget_edit', 'budget.edit'), ('channel_view', 'channel.view'), ('channel_edit', 'channel.edit'), ('approval_grant', 'approval.grant'), ('token_manage', 'token.manage'), ('activity_view', 'activity.view')],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('username', models.CharField(error_messages={'unique': 'A user with that username already exists.'}, help_text='Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.', max_length=150, unique=True, validators=[django.contrib.auth.validators.UnicodeUsernameValidator()], verbose_name='username')),
                ('first_name', models.CharField(blank=True, max_length=150, verbose_name='first name')),
                ('last_name', models.CharField(blank=True, max_length=150, verbose_name='last name')),
                ('is_staff', models.BooleanField(default=False, help_text='Designates whether the user can log into this admin site.', verbose_name='staff status')),
                ('is_active', models.BooleanField(default=True, help_text='Designates whether this user should be treated as active. Unselect this instead of deleting accounts.', verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='date joined')),
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('email', models.EmailField(blank=True, max_length=254)),
                ('is_service', models.BooleanField(default=False, help_text='A program, not a person: signs in by token only.')),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                'verbose_name': 'user',
                'verbose_name_plural': 'users',
                'abstract': False,
            },
            managers=[
                ('objects', django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name='Channel',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=63)),
                ('kind', models.CharField(choices=governance.models.channel.kind_choices, max_length=10)),
                ('url', models.CharField(blank=True, help_text='Where webhooks are sent to.', max_length=2000)),
                ('addresses', models.JSONField(blank=True, default=list, help_text='E-mail; none: those who may decide.')),
                ('events', models.JSONField(default=list, help_text='What it is told of.')),
                ('sealed_secret', models.BinaryField(null=True)),
                ('is_enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('acts_as', models.ForeignKey(blank=True, help_text='Whose decisions come in by webhook; none: none are taken.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('owner', models.ForeignKey(blank=True, editable=False, help_text="Whose letters these are; none: the workspace's channel.", null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tool', models.CharField(max_length=200)),
                ('agent_name', models.CharField(blank=True, max_length=63)),
                ('requester_id', models.UUIDField(null=True)),
                ('requester_name', models.CharField(blank=True, max_length=150)),
                ('rule', models.CharField(help_text='Of the policy, whose questions it answers.', max_length=200)),
                ('pattern', models.JSONField(default=dict)),
                ('facts', models.JSONField(default=dict)),
                ('allow_self', models.BooleanField(default=False)),
                ('allow_owner', models.BooleanField(default=True)),
                ('granted_by_id', models.UUIDField()),
                ('granted_by_name', models.CharField(max_length=150)),
                ('reason', models.TextField(blank=True)),
                ('surface', models.CharField(blank=True, max_length=20)),
                ('uses', models.PositiveIntegerField(default=0)),
                ('uses_max', models.PositiveIntegerField(help_text='None: as often as it holds.', null=True)),
                ('state', models.CharField(choices=governance.models.grant.grant_state_choices, default='active', max_length=12)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('ended_by_name', models.CharField(blank=True, max_length=150)),
                ('ended_reason', models.TextField(blank=True)),
                ('approval', models.ForeignKey(help_text='The one it was given with.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='grants', to='governance.approval')),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='GrantUse',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('subject_id', models.UUIDField(help_text='The tool call.', unique=True)),
                ('run_id', models.UUIDField()),
                ('agent_name', models.CharField(blank=True, max_length=63)),
                ('requester_name', models.CharField(blank=True, max_length=150)),
                ('arguments_digest', models.CharField(max_length=64)),
                ('at', models.DateTimeField()),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='used', to='governance.grant')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='IdempotencyRecord',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('principal', models.CharField(max_length=80)),
                ('key', models.CharField(max_length=255)),
                ('fingerprint', models.CharField(max_length=64)),
                ('claim_id', models.UUIDField()),
                ('claimed_at', models.DateTimeField()),
                ('status', models.PositiveSmallIntegerField(null=True)),
                ('headers', models.JSONField(default=dict)),
                ('body', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField(db_index=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('principal', 'key'), name='idempotency_key_once')],
            },
        ),
        migrations.CreateModel(
            name='PolicyVersion',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField()),
                ('source', models.TextField(help_text='A permission matrix as YAML, or a Rego module.')),
                ('language', models.CharField(choices=governance.models.policy.language_choices, default='matrix', max_length=10)),
                ('cases', models.TextField(blank=True, help_text='The test cases it was published with.')),
                ('failing_cases', models.PositiveIntegerField(default=0, help_text='Cases that failed when it was published all the same.')),
                ('digest', models.CharField(help_text='Of the source.', max_length=64)),
                ('note', models.CharField(blank=True, max_length=500)),
                ('is_active', models.BooleanField(default=True)),
                ('is_shadow', models.BooleanField(default=False)),
                ('shadow_asked', models.PositiveBigIntegerField(default=0, help_text='Calls it was asked about as a shadow.')),
                ('shadow_differing', models.PositiveBigIntegerField(default=0, help_text='Of these, answered otherwise than what decided.')),
                ('shadow_skipped', models.PositiveBigIntegerField(default=0, help_text='Calls it was not asked about, because it was too slow.')),
                ('published_at', models.DateTimeField()),
                ('published_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'ordering': ('-number',),
            },
        ),
        migrations.CreateModel(
            name='Role',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=63)),
                ('permissions', models.JSONField(default=list, help_text='Values of Perm, such as `run.view`.')),
                ('workspace', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='PolicyDifference',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('call_id', models.UUIDField()),
                ('run_id', models.UUIDField()),
                ('tool', models.CharField(max_length=200)),
                ('decided_by', models.CharField(help_text='The version of what decided.', max_length=200)),
                ('effect', models.CharField(help_text='What was decided.', max_length=10)),
                ('rule', models.CharField(max_length=200)),
                ('reason', models.TextField(blank=True)),
                ('shadow_effect', models.CharField(help_text='What the shadow says.', max_length=10)),
                ('shadow_rule', models.CharField(max_length=200)),
                ('shadow_reason', models.TextField(blank=True)),
                ('is_abnormal', models.BooleanField(default=False, help_text='The shadow gave no usable answer, and would have denied.')),
                ('at', models.DateTimeField()),
                ('version', models.ForeignKey(help_text='The shadow.', on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.policyversion')),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='Policy',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('draft', models.TextField(help_text='A permission matrix as YAML, or a Rego module.')),
                ('language', models.CharField(choices=governance.models.policy.language_choices, default='matrix', max_length=10)),
                ('cases', models.TextField(blank=True, help_text='Calls and what is expected of them, as YAML; run before publishing.')),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('workspace', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'verbose_name_plural': 'policies',
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
                ('roles', models.ManyToManyField(blank=True, related_name='+', to='governance.role')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='governance.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('event', models.CharField(max_length=40)),
                ('event_key', models.CharField(max_length=120)),
                ('recipient', models.CharField(blank=True, max_length=320)),
                ('payload', models.JSONField()),
                ('state', models.CharField(choices=governance.models.channel.state_choices, default='pending', max_length=10)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('due_at', models.DateTimeField()),
                ('lease_until', models.DateTimeField(null=True)),
                ('last_error', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('settled_at', models.DateTimeField(null=True)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='governance.channel')),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'verbose_name_plural': 'deliveries',
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='Delegation',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('from_at', models.DateTimeField()),
                ('until_at', models.DateTimeField()),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField()),
                ('created_by_name', models.CharField(max_length=150)),
                ('ended_at', models.DateTimeField(help_text='When it was ended before its time.', null=True)),
                ('ended_by_name', models.CharField(blank=True, max_length=150)),
                ('delegate', models.ForeignKey(db_index=False, help_text='Who decides for them.', on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('delegator', models.ForeignKey(help_text='Who is away.', on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('sequence', models.PositiveBigIntegerField()),
                ('at', models.DateTimeField()),
                ('actor_name', models.CharField(blank=True, max_length=150)),
                ('actor_id', models.UUIDField(null=True)),
                ('token_id', models.UUIDField(null=True)),
                ('action', models.CharField(choices=governance.models.audit.action_choices, max_length=40)),
                ('subject_kind', models.CharField(max_length=40)),
                ('subject_id', models.CharField(blank=True, max_length=100)),
                ('subject_label', models.CharField(blank=True, max_length=200)),
                ('payload', models.JSONField(default=dict)),
                ('previous_hash', models.CharField(max_length=64)),
                ('hash', models.CharField(max_length=64)),
                ('workspace', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='governance.workspace')),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'ordering': ('-sequence',),
            },
        ),
        migrations.CreateModel(
            name='AuditCheckpoint',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('sequence', models.PositiveBigIntegerField()),
                ('hash', models.CharField(max_length=64)),
                ('at', models.DateTimeField()),
                ('key_id', models.CharField(max_length=16)),
                ('signature', models.CharField(max_length=128)),
                ('workspace', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='governance.workspace')),
            ],
            options={
                'ordering': ('-sequence',),
            },
        ),
        migrations.AddField(
            model_name='approval',
            name='workspace',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace'),
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('prefix', models.CharField(editable=False, max_length=12)),
                ('digest', models.CharField(editable=False, max_length=64, unique=True)),
                ('scopes', models.JSONField(blank=True, help_text='Values of Perm; empty: all its owner may.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='api_tokens', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(blank=True, help_text="Narrows the token to one workspace; empty: all of its owner's.", null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'verbose_name': 'API token',
                'ordering': ('-created_at',),
            },
        ),
        migrations.CreateModel(
            name='WorkspaceGroupPermission',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('content_object', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='governance.workspace')),
                ('group', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='auth.group')),
                ('permission', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='auth.permission')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='WorkspaceUserPermission',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('content_object', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='governance.workspace')),
                ('permission', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='auth.permission')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ApprovalVote',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('verdict', models.CharField(choices=governance.models.approval.verdict_choices, max_length=10)),
                ('digest', models.CharField(max_length=64)),
                ('reason', models.TextField(blank=True)),
                ('surface', models.CharField(blank=True, max_length=20)),
                ('at', models.DateTimeField()),
                ('approval', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='votes', to='governance.approval')),
                ('for_user', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('at',),
                'constraints': [models.UniqueConstraint(fields=('approval', 'user'), name='approval_vote_once')],
            },
        ),
        migrations.CreateModel(
            name='ChannelIdentity',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('external_id', models.CharField(help_text='Such as a Slack member id.', max_length=100)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='identities', to='governance.channel')),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name_plural': 'channel identities',
                'ordering': ('external_id',),
                'constraints': [models.UniqueConstraint(fields=('channel', 'external_id'), name='channel_identity_once')],
            },
        ),
        migrations.CreateModel(
            name='Secret',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=63)),
                ('description', models.CharField(blank=True, max_length=500)),
                ('version', models.PositiveIntegerField(default=1, editable=False)),
                ('sealed_value', models.BinaryField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('used_at', models.DateTimeField(editable=False, null=True)),
                ('updated_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'ordering': ('name',),
                'constraints': [models.UniqueConstraint(fields=('workspace', 'name'), name='secret_name_once')],
            },
        ),
        migrations.AddConstraint(
            model_name='role',
            constraint=models.UniqueConstraint(fields=('workspace', 'name'), name='role_name_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.UniqueConstraint(fields=('workspace', 'number'), name='policy_number_once'),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.UniqueConstraint(condition=models.Q(('is_active', True)), fields=('workspace',), name='policy_one_active'),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.UniqueConstraint(condition=models.Q(('is_shadow', True)), fields=('workspace',), name='policy_one_shadow'),
        ),
        migrations.AddIndex(
            model_name='policydifference',
            index=models.Index(fields=['workspace', '-id'], name='policy_difference_list'),
        ),
        migrations.AddConstraint(
            model_name='policydifference',
            constraint=models.UniqueConstraint(fields=('version', 'call_id'), name='policy_difference_once'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.UniqueConstraint(fields=('workspace', 'user'), name='membership_once'),
        ),
        migrations.AddIndex(
            model_name='grant',
            index=models.Index(fields=['workspace', '-id'], name='grant_newest'),
        ),
        migrations.AddIndex(
            model_name='grant',
            index=models.Index(condition=models.Q(('state', 'active')), fields=['workspace', 'tool'], name='grant_active'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('uses_max', None), ('uses__lte', models.F('uses_max')), _connector='OR'), name='grant_uses_within'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['due_at'], name='delivery_due'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['workspace', '-id'], name='delivery_newest'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.UniqueConstraint(fields=('channel', 'event_key', 'recipient'), name='delivery_once'),
        ),
        migrations.AddIndex(
            model_name='delegation',
            index=models.Index(fields=['workspace', '-id'], name='delegation_newest'),
        ),
        migrations.AddIndex(
            model_name='delegation',
            index=models.Index(fields=['delegate', 'workspace'], name='delegation_to'),
        ),
        migrations.AddConstraint(
            model_name='delegation',
            constraint=models.CheckConstraint(condition=models.Q(('until_at__gt', models.F('from_at'))), name='delegation_has_time'),
        ),
        migrations.AddConstraint(
            model_name='delegation',
            constraint=models.CheckConstraint(condition=models.Q(('delegator', models.F('delegate')), _negated=True), name='delegation_to_another'),
        ),
        migrations.AddConstraint(
            model_name='channel',
            constraint=models.UniqueConstraint(fields=('workspace', 'name'), name='channel_name_once'),
        ),
        migrations.AddConstraint(
            model_name='channel',
            constraint=models.UniqueConstraint(condition=models.Q(('owner__isnull', False)), fields=('workspace', 'owner'), name='channel_owner_once'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(fields=['workspace', 'at'], name='audit_by_time'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(fields=['workspace', 'subject_id'], name='audit_by_subject'),
        ),
        migrations.AddConstraint(
            model_name='auditentry',
            constraint=models.UniqueConstraint(fields=('workspace', 'sequence'), name='audit_sequence_once'),
        ),
        migrations.AddConstraint(
            model_name='auditentry',
            constraint=models.UniqueConstraint(condition=models.Q(('workspace__isnull', True)), fields=('sequence',), name='audit_site_sequence_once'),
        ),
        migrations.AddConstraint(
            model_name='auditcheckpoint',
            constraint=models.UniqueConstraint(fields=('workspace', 'sequence'), name='audit_checkpoint_sequence_once'),
        ),
        migrations.AddConstraint(
            model_name='auditcheckpoint',
            constraint=models.UniqueConstraint(condition=models.Q(('workspace__isnull', True)), fields=('sequence',), name='audit_checkpoint_site_sequence_once'),
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(fields=['workspace', '-id'], name='approval_newest'),
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(fields=['workspace', 'tool', '-id'], name='approval_of_tool'),
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(fields=['workspace', '-decided_at'], name='approval_decided'),
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['workspace', 'expires_at'], name='approval_pending'),
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['expires_at'], name='approval_due'),
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['run_id'], name='approval_of_run'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'pending')), fields=('kind', 'subject_id'), name='approval_one_pending'),
        ),
        migrations.AddIndex(
            model_name='workspacegrouppermission',
            index=models.Index(fields=['group', 'permission', 'content_object'], name='group_permission_lookup'),
        ),
        migrations.AlterUniqueTogether(
            name='workspacegrouppermission',
            unique_together={('group', 'permission', 'content_object')},
        ),
        migrations.AddIndex(
            model_name='workspaceuserpermission',
            index=models.Index(fields=['user', 'permission', 'content_object'], name='user_permission_lookup'),
        ),
        migrations.AlterUniqueTogether(
            name='workspaceuserpermission',
            unique_together={('user', 'permission', 'content_object')},
        ),
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=63, validators=[django.core.validators.RegexValidator(re.compile('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\Z'), 'Use 1 to 63 lower-case letters, digits and inner hyphens.')])),
                ('kind', models.CharField(choices=governance.models.budget.budget_kind_choices, help_text='Whose spending it bounds.', max_length=12)),
                ('agent_name', models.CharField(blank=True, help_text='Of a budget for an agent.', max_length=63)),
                ('period', models.CharField(choices=governance.models.budget.budget_period_choices, default='month', max_length=8)),
                ('time_zone', models.CharField(default='UTC', help_text='Where its days begin, such as Europe/Prague.', max_length=64)),
                ('limit_usd', models.DecimalField(decimal_places=8, help_text='Dollars that may be spent in one period.', max_digits=16)),
                ('is_enabled', models.BooleanField(default=True)),
                ('note', models.TextField(blank=True, max_length=2000)),
                ('created_by_name', models.CharField(blank=True, max_length=150)),
                ('changed_by_name', models.CharField(blank=True, max_length=150)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('user', models.ForeignKey(blank=True, help_text='Of a budget for somebody.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='BudgetAccount',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('run_id', models.UUIDField(null=True, unique=True)),
                ('root_id', models.UUIDField(null=True)),
                ('agent_name', models.CharField(blank=True, max_length=63)),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField(null=True)),
                ('limit_usd', models.DecimalField(decimal_places=8, max_digits=16, null=True)),
                ('reserved_usd', models.DecimalField(decimal_places=8, default=0, max_digits=16)),
                ('spent_usd', models.DecimalField(decimal_places=8, default=0, max_digits=16)),
                ('told_percent', models.PositiveSmallIntegerField(default=0, help_text='Up to which mark people were told what is spent.')),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('budget', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='accounts', to='governance.budget')),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='Reservation',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('run_id', models.UUIDField()),
                ('place', models.PositiveIntegerField(help_text='Which model call of its run, from 0.')),
                ('fence', models.BigIntegerField()),
                ('model_name', models.CharField(blank=True, max_length=200)),
                ('accounts', models.JSONField(default=list, help_text='Ids of what it counts against.')),
                ('reserved_usd', models.DecimalField(decimal_places=8, max_digits=16)),
                ('charged_usd', models.DecimalField(decimal_places=8, max_digits=16, null=True)),
                ('state', models.CharField(choices=governance.models.budget.reservation_state_choices, default='reserved', max_length=10)),
                ('created_at', models.DateTimeField()),
                ('settled_at', models.DateTimeField(null=True)),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.UniqueConstraint(fields=('workspace', 'name'), name='budget_name_once'),
        ),
        migrations.AddIndex(
            model_name='budgetaccount',
            index=models.Index(condition=models.Q(('root_id__isnull', False)), fields=['root_id'], name='account_of_root'),
        ),
        migrations.AddIndex(
            model_name='budgetaccount',
            index=models.Index(fields=['workspace', '-id'], name='account_newest'),
        ),
        migrations.AddConstraint(
            model_name='budgetaccount',
            constraint=models.UniqueConstraint(fields=('budget', 'starts_at'), name='account_of_period_once'),
        ),
        migrations.AddConstraint(
            model_name='budgetaccount',
            constraint=models.CheckConstraint(condition=models.Q(('reserved_usd__gte', 0)), name='account_reserved'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('state', 'reserved')), fields=['created_at'], name='reservation_open'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(fields=['workspace', '-id'], name='reservation_newest'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.UniqueConstraint(fields=('run_id', 'place'), name='reservation_of_call_once'),
        ),
        migrations.RunPython(keep_audit, release_audit),
    ]
