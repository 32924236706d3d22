import core.ids
import django.db.models.deletion
import plugins.models.tool_call
import plugins.models.tool_definition
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('governance', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='ToolCall',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('workspace_id', models.UUIDField()),
                ('run_id', models.UUIDField()),
                ('position', models.IntegerField(help_text='Of the assistant message that asked.')),
                ('index', models.IntegerField(help_text='Within that message.')),
                ('provider_call_id', models.CharField(max_length=200)),
                ('tool', models.CharField(max_length=200)),
                ('spec_digest', models.CharField(blank=True, max_length=64)),
                ('arguments', models.JSONField(null=True)),
                ('arguments_digest', models.CharField(blank=True, max_length=64)),
                ('effect', models.CharField(choices=plugins.models.tool_call.effect_choices, max_length=20)),
                ('state', models.CharField(choices=plugins.models.tool_call.state_choices, max_length=20)),
                ('attempt', models.IntegerField(default=0)),
                ('wait', models.JSONField(help_text='What a waiting call waits for.', null=True)),
                ('result', models.TextField(blank=True, help_text='What the model is shown; bounded.')),
                ('result_digest', models.CharField(blank=True, help_text="Of the full result's blob.", max_length=64)),
                ('is_error', models.BooleanField(default=False)),
                ('reason', models.TextField(blank=True, help_text='Why denied, failed, expired or in doubt.')),
                ('decision', models.JSONField(help_text='Policy verdict, or who resolved it and how.', null=True)),
                ('planned_at', models.DateTimeField()),
                ('dispatched_at', models.DateTimeField(null=True)),
                ('settled_at', models.DateTimeField(null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['workspace_id', 'id'], name='tool_call_of_workspace'), models.Index(condition=models.Q(('state', 'in_doubt')), fields=['workspace_id', 'planned_at'], name='tool_call_in_doubt'), models.Index(condition=models.Q(('state', 'failed')), fields=['workspace_id', '-id'], name='tool_call_failed')],
                'constraints': [models.UniqueConstraint(fields=('run_id', 'position', 'index'), name='tool_call_place_once')],
            },
        ),
        migrations.CreateModel(
            name='ToolDefinition',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=63)),
                ('kind', models.CharField(choices=plugins.models.tool_definition.kind_choices, default='http', max_length=10)),
                ('description', models.TextField()),
                ('input_schema', models.JSONField(default=dict)),
                ('effect', models.CharField(choices=plugins.models.tool_definition.effect_choices, default='irreversible', max_length=20)),
                ('is_privileged', models.BooleanField(default=True)),
                ('is_enabled', models.BooleanField(default=True)),
                ('url', models.URLField(blank=True, max_length=2000)),
                ('method', models.CharField(default='POST', max_length=8)),
                ('headers', models.JSONField(blank=True, default=dict)),
                ('probe_url', models.CharField(blank=True, help_text='Asked after a crash; `{key}` is the idempotency key.', max_length=2000)),
                ('timeout_seconds', models.FloatField(default=30)),
                ('command', models.TextField(blank=True, help_text='Shell text; arguments are `$ARG_NAME` and JSON on standard input.')),
                ('engine', models.CharField(blank=True, help_text="Of its sandbox; empty: the site's own.", max_length=20)),
                ('net', models.JSONField(blank=True, default=list, help_text='`host:port` pairs it may reach; empty: no network.')),
                ('limits', models.JSONField(blank=True, default=dict, help_text='Of its sandbox, by name; others have their defaults.')),
                ('secrets', models.JSONField(blank=True, default=list, help_text='Names of secrets it finds in `/run/secrets`, and objects with `name`, `host`, `header` and `format` for those that are added outside.')),
                ('output_schema', models.JSONField(blank=True, help_text='JSON Schema of what it prints; empty: any text.', null=True)),
                ('probe_command', models.TextField(blank=True, help_text='Asked after a crash; prints whether the call happened.')),
                ('plan_command', models.TextField(blank=True, help_text='Prints what a call would change, without changing it.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='governance.workspace')),
            ],
            options={
                'ordering': ('name',),
                'constraints': [models.UniqueConstraint(fields=('workspace', 'name'), name='tool_definition_name_once')],
            },
        ),
    ]
