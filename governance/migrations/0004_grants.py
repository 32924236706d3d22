from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("governance", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="approval",
            name="escalations",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="How often others were asked because nobody decided."
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="warned_at",
            field=models.DateTimeField(
                help_text="When somebody was told that its time is nearly over.", null=True
            ),
        ),
    ]
